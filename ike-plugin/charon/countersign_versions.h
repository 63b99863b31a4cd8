/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Hides what differs between the versions of strongSwan that the plugin can be built for, from 5.9.8 on, and contains nothing else.
 *
 * The Makefile defines STRONGSWAN as the version in numbers, 60003 for 6.0.3, and VERSION as text. It reads both from the source tree that
 * the headers come from. If the number does not match the headers, the plugin does not compile.
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

/* the key exchanges that charon passes to listener_t.ike_keys: one, and from 6.0.0 on a list (RFC 9370) */
#if STRONGSWAN >= 60000
typedef array_t countersign_key_exchanges_t;
#else
typedef key_exchange_t countersign_key_exchanges_t;
#endif

/* whether a connection of IKEv1 uses aggressive mode */
static inline bool countersign_is_aggressive(peer_cfg_t *cfg)
{
#if STRONGSWAN >= 60002
	return cfg->has_option(cfg, OPT_IKEV1_AGGRESSIVE);
#else
	return cfg->use_aggressive(cfg);
#endif
}

/*
 * The two types of child_cfg_t.get_proposals: after 6.0.6 it has a further argument, whether it may log. countersign_proposals() picks the
 * call by the type of the member. Both calls ask for proposals with key exchanges (the first argument is FALSE), without a line in the log.
 */
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

/* the proposals that are configured for a CHILD_SA, proposal_t; the caller destroys them */
static inline linked_list_t *countersign_proposals(child_cfg_t *cfg)
{
	return _Generic(cfg->get_proposals,
					countersign_get_proposals_t: countersign_get,
					countersign_get_proposals_log_t: countersign_get_log)(cfg->get_proposals, cfg);
}

/* The head of the constructor. From 6.0.3 on, charon loads a plugin only if the plugin exports charon's own version. */
#ifdef PLUGIN_DEFINE
# define COUNTERSIGN_DEFINE(name) PLUGIN_DEFINE(name)
#else
# define COUNTERSIGN_DEFINE(name) \
	const char *name##_plugin_version = VERSION; \
	plugin_t *name##_plugin_create()
#endif

#endif
