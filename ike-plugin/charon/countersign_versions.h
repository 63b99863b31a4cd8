/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What differs between the versions of strongSwan that the plugin is built for, from 5.9.8 on, and nothing else. STRONGSWAN is the
 * version as a number, 60003 for 6.0.3, and VERSION as text: the Makefile has both from the source that the headers come from. With a
 * number that is not that of the headers it does not compile.
 */

#ifndef COUNTERSIGN_VERSIONS_H_
#define COUNTERSIGN_VERSIONS_H_

#include <collections/array.h>
#include <collections/linked_list.h>
#include <config/child_cfg.h>
#include <config/peer_cfg.h>
#include <crypto/key_exchange.h>
#include <plugins/plugin.h>

#if !defined(STRONGSWAN) || !defined(VERSION)
# error "expected STRONGSWAN and VERSION, the version of strongSwan's headers, as the Makefile defines them"
#endif

/* what listener_t.ike_keys is told of: one key exchange, and from 6.0.0 on all of them (RFC 9370) */
#if STRONGSWAN >= 60000
typedef array_t countersign_key_exchanges_t;
#else
typedef key_exchange_t countersign_key_exchanges_t;
#endif

static inline bool countersign_is_aggressive(peer_cfg_t *cfg)
{
#if STRONGSWAN >= 60002
	return cfg->has_option(cfg, OPT_IKEV1_AGGRESSIVE);
#else
	return cfg->use_aggressive(cfg);
#endif
}

/* child_cfg_t.get_proposals, with key exchanges and without a line in the log: after 6.0.6 the latter is for the caller to say. Which it is
 * says the member's type. */
typedef linked_list_t *(*countersign_get_proposals_t)(child_cfg_t*, bool);
typedef linked_list_t *(*countersign_get_proposals_log_t)(child_cfg_t*, bool, bool);

static inline linked_list_t *countersign_get(countersign_get_proposals_t get, child_cfg_t *cfg)
{
	return get(cfg, FALSE);
}

static inline linked_list_t *countersign_get_log(countersign_get_proposals_log_t get,
												 child_cfg_t *cfg)
{
	return get(cfg, FALSE, FALSE);
}

static inline linked_list_t *countersign_proposals(child_cfg_t *cfg)
{
	return _Generic(cfg->get_proposals,
					countersign_get_proposals_t: countersign_get,
					countersign_get_proposals_log_t: countersign_get_log)(cfg->get_proposals, cfg);
}

/* the head of the function that charon calls; from 6.0.3 on it loads none but plugins that say its own version */
#ifdef PLUGIN_DEFINE
# define COUNTERSIGN_DEFINE(name) PLUGIN_DEFINE(name)
#else
# define COUNTERSIGN_DEFINE(name) \
	const char *name##_plugin_version = VERSION; \
	plugin_t *name##_plugin_create()
#endif

#endif
