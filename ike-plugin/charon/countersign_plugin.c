/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Asks Countersign's authorizer whether a peer may connect.
 *
 * It asks in three hooks. charon calls validate_online() after it has verified the peer's certificate and before it verifies the peer's
 * signature; only this IKE_SA waits there, so the plugin may wait long. It caches the answer for this IKE_SA, this connection, this identity
 * and this certificate. charon calls authorize() once the peer is authenticated; the cached answer takes effect there. If there is none, as
 * for a pre-shared key, or because too many threads were waiting, the plugin asks then. charon calls narrow() for each CHILD_SA; the plugin
 * asks about its traffic there. In authorize() and narrow() the plugin waits only briefly, because charon holds the bus lock and every other
 * negotiation waits, too. If no answer comes, the peer or the CHILD_SA is refused.
 */

#include "countersign_plugin.h"
#include "countersign_ask.h"
#include "countersign_claims.h"
#include "countersign_cache.h"
#include "countersign_question.h"
#include "countersign_versions.h"

#include <daemon.h>
#include <collections/linked_list.h>
#include <credentials/cert_validator.h>
#include <threading/mutex.h>

/* how long to wait for an answer, in milliseconds: the default, and the longest time that can be configured */
#define TIMEOUT 5000
#define MAX_TIMEOUT 60000
/* the default, and also the longest, for all questions of one call while charon holds the bus lock, in milliseconds */
#define TIMEOUT_AUTHORIZE 500

typedef struct private_countersign_plugin_t private_countersign_plugin_t;

struct private_countersign_plugin_t {
	plugin_t public;
	listener_t listener;
	cert_validator_t validator;
};

/* charon loads the plugin once; hooks get no pointer to it */
static struct {
	countersign_cache_t *cache;
	/* the number of threads that wait for an answer without the bus lock; the mutex guards it */
	u_int waiting;
	mutex_t *mutex;
} state;

/* the path of the authorizer's socket */
static char *get_socket(void)
{
	return lib->settings->get_str(lib->settings, "%s.plugins.countersign.socket",
								  "/run/countersign/authorizer.sock", lib->ns);
}

/* the end of the time that is configured under this name, at most `most` milliseconds from now; `standard` counts if it is 0 or less */
static int64_t get_deadline(const char *name, int standard, int most)
{
	char key[64];
	int timeout;

	snprintf(key, sizeof(key), "%%s.plugins.countersign.%s", name);
	timeout = lib->settings->get_int(lib->settings, key, standard, lib->ns);
	return countersign_now() + (timeout > 0 ? min(timeout, most) : standard);
}

/* writes the line for a decision into charon's log */
static void report(identification_t *id, const char *what, countersign_answer_t *answer)
{
	if (answer->allowed)
	{
		DBG1(DBG_CFG, "countersign: %s of '%Y' is allowed [trace %s]", what, id, answer->trace);
	}
	else
	{
		DBG1(DBG_CFG, "countersign: %s of '%Y' is refused (%s): %s [trace %s]", what, id,
			 answer->step, answer->reason, *answer->trace ? answer->trace : "none");
	}
}

/* makes the answer to a question that cannot be asked */
static void refuse(countersign_answer_t *answer, const char *reason)
{
	memset(answer, 0, sizeof(*answer));
	snprintf(answer->step, sizeof(answer->step), "question");
	snprintf(answer->reason, sizeof(answer->reason), "%s", reason);
}

/*
 * Counts a thread that is about to wait. FALSE, without counting it, if half of charon's threads, or the only one, wait already.
 *
 * A certificate is public, so an attacker who presents somebody else's can block a thread here while the authorizer is silent. The other
 * half of the threads stays free for peers that need no answer, have one already, or have proved their key.
 */
static bool enter(void)
{
	u_int most = max(1, lib->processor->get_total_threads(lib->processor) / 2);
	bool entered;

	state.mutex->lock(state.mutex);
	entered = state.waiting < most;
	state.waiting += entered ? 1 : 0;
	state.mutex->unlock(state.mutex);
	return entered;
}

/* stops counting a thread that enter() has counted */
static void leave(void)
{
	state.mutex->lock(state.mutex);
	state.waiting--;
	state.mutex->unlock(state.mutex);
}

/* charon has verified a certificate of a path, and asks whether it is valid by other means: cert_validator_t.validate_online */
static bool validate_online(cert_validator_t *validator, certificate_t *subject,
							certificate_t *issuer, u_int pathlen, bool anchor, auth_cfg_t *auth)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	countersign_answer_t answer = {};
	identification_t *id;
	json_t *question;

	/* only for the certificate of a peer: not for those of CAs, nor for those that charon verifies outside of an IKE_SA */
	if (pathlen || !ike_sa)
	{
		return TRUE;
	}
	id = ike_sa->get_other_id(ike_sa);
	if (!id || id->contains_wildcards(id))
	{
		return TRUE;
	}
	if (!enter())
	{
		DBG1(DBG_CFG, "countersign: many peers wait for the authorizer: '%Y' is asked about when it is authenticated", id);
		return TRUE;
	}
	question = countersign_question(ike_sa, id);
	if (!countersign_add_subject(question, auth))
	{
		refuse(&answer, "its certificate cannot be written down");
	}
	else
	{
		countersign_ask(get_socket(), get_deadline("timeout", TIMEOUT, MAX_TIMEOUT), question,
						chunk_empty, &answer);
	}
	leave();
	json_decref(question);
	countersign_cache_answer(state.cache, ike_sa, id, subject, &answer);
	if (!answer.allowed)
	{
		report(id, "phase 1", &answer);
		lib->credmgr->call_hook(lib->credmgr, CRED_HOOK_POLICY_VIOLATION, subject);
	}
	return answer.allowed;
}

/* asks about one claim while charon holds the bus lock; child is NULL for phase 1 */
static void ask(ike_sa_t *ike_sa, countersign_claim_t *claim, countersign_child_t *child,
				int64_t deadline, countersign_answer_t *answer)
{
	json_t *question = countersign_question(ike_sa, claim->id);
	chunk_t psk = claim->psk ? claim->psk->get_key(claim->psk) : chunk_empty;

	if (claim->psk && !psk.len)
	{
		refuse(answer, "its pre-shared key is empty");
	}
	else if (claim->auth ? !countersign_add_subject(question, claim->auth)
						 : !countersign_add_class(question, claim->class))
	{
		refuse(answer, "its certificate cannot be written down");
	}
	else if (child && (!child->proposal || !countersign_add_child(question, child)))
	{
		refuse(answer, "its traffic cannot be written down");
	}
	else
	{
		countersign_ask(get_socket(), deadline, question, psk, answer);
	}
	json_decref(question);
}

/* whether the authorizer allows every claim of the peer; child is NULL for phase 1 */
static bool is_allowed(ike_sa_t *ike_sa, countersign_child_t *child)
{
	const char *problem, *what = child ? "phase 2" : "phase 1";
	shared_key_t *psk = countersign_cached_psk(state.cache, ike_sa);
	linked_list_t *claims = countersign_claims(ike_sa, psk, &problem);
	int64_t deadline = get_deadline("timeout_authorize", TIMEOUT_AUTHORIZE, TIMEOUT_AUTHORIZE);
	countersign_answer_t answer = {};
	countersign_claim_t *claim;
	enumerator_t *enumerator;
	certificate_t *cert;

	DESTROY_IF(psk);
	if (!claims)
	{
		refuse(&answer, problem);
		report(ike_sa->get_other_id(ike_sa), what, &answer);
		return FALSE;
	}
	enumerator = claims->create_enumerator(claims);
	do
	{
		if (!enumerator->enumerate(enumerator, &claim))
		{
			break;
		}
		cert = claim->auth ? claim->auth->get(claim->auth, AUTH_RULE_SUBJECT_CERT) : NULL;
		if (child || !cert || !countersign_cached_answer(state.cache, ike_sa, claim->id, cert, &answer))
		{
			ask(ike_sa, claim, child, deadline, &answer);
		}
		report(claim->id, what, &answer);
	}
	while (answer.allowed);
	enumerator->destroy(enumerator);
	countersign_claims_destroy(claims);
	return answer.allowed;
}

/* charon has authenticated the peer, in the last of its rounds if final: listener_t.authorize */
static bool authorize(listener_t *listener, ike_sa_t *ike_sa, bool final, bool *success)
{
	if (final)
	{
		if (!is_allowed(ike_sa, NULL))
		{
			*success = FALSE;
		}
		countersign_cache_forget(state.cache, ike_sa, FALSE);
	}
	return TRUE;
}

/* removes all traffic selectors: charon then sets up no CHILD_SA */
static void clear(linked_list_t *list)
{
	traffic_selector_t *ts;

	while (list->remove_last(list, (void**)&ts) == SUCCESS)
	{
		ts->destroy(ts);
	}
}

/* whether a proposal has more than one algorithm of a type */
static bool has_choice(proposal_t *proposal, transform_type_t type)
{
	enumerator_t *enumerator = proposal->create_enumerator(proposal, type);
	uint16_t algorithm, key_length;
	u_int count = 0;

	while (enumerator->enumerate(enumerator, &algorithm, &key_length))
	{
		count++;
	}
	enumerator->destroy(enumerator);
	return count > 1;
}

/* the proposal of phase 2 if the configuration has exactly one, without alternatives in it; otherwise NULL */
static proposal_t *only_proposal(child_cfg_t *cfg)
{
	linked_list_t *proposals = countersign_proposals(cfg);
	proposal_t *proposal = NULL;

	if (proposals->get_count(proposals) == 1)
	{
		proposals->remove_first(proposals, (void**)&proposal);
		if (has_choice(proposal, ENCRYPTION_ALGORITHM) || has_choice(proposal, INTEGRITY_ALGORITHM) ||
			has_choice(proposal, KEY_EXCHANGE_METHOD))
		{
			proposal->destroy(proposal);
			proposal = NULL;
		}
	}
	proposals->destroy_offset(proposals, offsetof(proposal_t, destroy));
	return proposal;
}

/*
 * Whether to ask in this call of narrow(), and the proposal to ask about, which the caller destroys; NULL if it is not known.
 *
 * charon calls a responder twice for a CHILD_SA. An IKEv2 responder has selected the proposal before the first call. An IKEv1 responder has
 * not, unless only one is configured. If there is a choice, the plugin asks in the second call; the peer has set up its side by then,
 * and charon deletes its CHILD_SA if it is refused.
 */
static bool is_to_ask(ike_sa_t *ike_sa, child_sa_t *child_sa, narrow_hook_t type,
					  proposal_t **proposal)
{
	proposal_t *agreed = child_sa->get_proposal(child_sa), *only = NULL;
	bool first = type == NARROW_RESPONDER, responder = first || type == NARROW_RESPONDER_POST;
	bool ask = type == NARROW_INITIATOR_POST_AUTH || type == NARROW_INITIATOR_POST_NOAUTH;

	if (responder && ike_sa->get_version(ike_sa) == IKEV1)
	{
		only = only_proposal(child_sa->get_config(child_sa));
		ask = first == (only != NULL);
	}
	else if (responder)
	{
		ask = first;
	}
	if (ask && !only && agreed)
	{
		only = agreed->clone(agreed, 0);
	}
	if (!ask)
	{
		DESTROY_IF(only);
	}
	*proposal = ask ? only : NULL;
	return ask;
}

/* charon narrows the traffic selectors of a CHILD_SA: listener_t.narrow. A refusal empties them. */
static bool narrow(listener_t *listener, ike_sa_t *ike_sa, child_sa_t *child_sa,
				   narrow_hook_t type, linked_list_t *local, linked_list_t *remote)
{
	countersign_child_t child = {
		.child_sa = child_sa,
		.initiator = type == NARROW_INITIATOR_POST_AUTH || type == NARROW_INITIATOR_POST_NOAUTH,
		.local = local,
		.remote = remote,
	};

	if (!local->get_count(local) || !remote->get_count(remote) ||
		!is_to_ask(ike_sa, child_sa, type, &child.proposal))
	{
		return TRUE;
	}
	if (!is_allowed(ike_sa, &child))
	{
		clear(local);
		clear(remote);
	}
	DESTROY_IF(child.proposal);
	return TRUE;
}

/*
 * charon has derived the keys of an IKE_SA: listener_t.ike_keys. In IKEv1 it derives them from the pre-shared key before the IDs arrive, so
 * the key may differ from the one that is configured for these IDs. The plugin must ask about the key that was used.
 */
static bool ike_keys(listener_t *listener, ike_sa_t *ike_sa, countersign_key_exchanges_t *exchanges,
					 chunk_t dh_other, chunk_t nonce_i, chunk_t nonce_r, ike_sa_t *rekey,
					 shared_key_t *shared, auth_method_t method)
{
	if (shared)
	{
		countersign_cache_psk(state.cache, ike_sa, shared);
	}
	return TRUE;
}

/* the IKE_SA is about to be destroyed: listener_t.ike_state_change */
static bool ike_state_change(listener_t *listener, ike_sa_t *ike_sa, ike_sa_state_t to)
{
	if (to == IKE_DESTROYING)
	{
		countersign_cache_forget(state.cache, ike_sa, TRUE);
	}
	return TRUE;
}

METHOD(plugin_t, get_name, char*,
	private_countersign_plugin_t *this)
{
	return "countersign";
}

/* registers the hooks, or removes them */
static bool plugin_cb(private_countersign_plugin_t *this, plugin_feature_t *feature, bool reg,
					  void *data)
{
	if (reg)
	{
		charon->bus->add_listener(charon->bus, &this->listener);
		lib->credmgr->add_validator(lib->credmgr, &this->validator);
	}
	else
	{
		lib->credmgr->remove_validator(lib->credmgr, &this->validator);
		charon->bus->remove_listener(charon->bus, &this->listener);
	}
	return TRUE;
}

METHOD(plugin_t, get_features, int,
	private_countersign_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)plugin_cb, NULL),
			PLUGIN_PROVIDE(CUSTOM, "countersign"),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, destroy, void,
	private_countersign_plugin_t *this)
{
	countersign_cache_destroy(state.cache);
	state.mutex->destroy(state.mutex);
	free(this);
}

COUNTERSIGN_DEFINE(countersign)
{
	private_countersign_plugin_t *this;

	if (lib->settings->get_bool(lib->settings, "%s.flush_auth_cfg", FALSE, lib->ns))
	{	/* charon would forget how the peer was authenticated, and every rekeying of a CHILD_SA would be refused */
		DBG1(DBG_CFG, "countersign: `flush_auth_cfg` must be off, for the authorizer is told in phase 2, too, "
			 "what the peer was authenticated with");
		return NULL;
	}
	INIT(this,
		.public = {
			.get_name = _get_name,
			.get_features = _get_features,
			.destroy = _destroy,
		},
		.listener = {
			.authorize = authorize,
			.narrow = narrow,
			.ike_keys = ike_keys,
			.ike_state_change = ike_state_change,
		},
		.validator = {
			.validate_online = validate_online,
		},
	);
	state.cache = countersign_cache_create();
	state.mutex = mutex_create(MUTEX_TYPE_DEFAULT);
	return &this->public;
}
