/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Asks Countersign's authorizer whether a peer may come in.
 *
 * It asks where only this IKE_SA waits, when the peer's certificate was verified and before its signature was; the answer is kept for
 * this SA, this identity and this certificate. When the peer is authenticated, the answer counts; if there is none, as for a
 * pre-shared key, it asks then, for a short time, because every other negotiation waits meanwhile. No answer is a refusal.
 */

#include "countersign_plugin.h"
#include "countersign_ask.h"
#include "countersign_question.h"

#include <daemon.h>
#include <collections/linked_list.h>
#include <credentials/cert_validator.h>
#include <threading/mutex.h>

/* answers that are kept at most; an SA that goes takes its own along */
#define MAX_KEPT 4096

typedef struct private_countersign_plugin_t private_countersign_plugin_t;
typedef struct kept_t kept_t;

struct private_countersign_plugin_t {
	plugin_t public;
	listener_t listener;
	cert_validator_t validator;
};

/* an answer about a peer of an SA */
struct kept_t {
	uint32_t sa;
	identification_t *id;
	certificate_t *cert;
	countersign_answer_t answer;
};

/* of the one plugin that charon loads */
static struct {
	/* answers by SA, kept_t, newest first */
	linked_list_t *kept;
	mutex_t *mutex;
} state;

static void kept_destroy(kept_t *this)
{
	this->id->destroy(this->id);
	this->cert->destroy(this->cert);
	free(this);
}

static char *get_socket(void)
{
	return lib->settings->get_str(lib->settings, "%s.plugins.countersign.socket",
								  "/run/countersign/authorizer.sock", lib->ns);
}

/* milliseconds */
static u_int get_timeout(const char *name, u_int standard)
{
	char key[64];
	int timeout;

	snprintf(key, sizeof(key), "%%s.plugins.countersign.%s", name);
	timeout = lib->settings->get_int(lib->settings, key, standard, lib->ns);
	return timeout > 0 && timeout <= 60000 ? (u_int)timeout : standard;
}

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

static void keep(ike_sa_t *ike_sa, identification_t *id,
				 certificate_t *cert, countersign_answer_t *answer)
{
	kept_t *kept, *last = NULL;

	INIT(kept,
		.sa = ike_sa->get_unique_id(ike_sa),
		.id = id->clone(id),
		.cert = cert->get_ref(cert),
		.answer = *answer,
	);
	state.mutex->lock(state.mutex);
	state.kept->insert_first(state.kept, kept);
	if (state.kept->get_count(state.kept) > MAX_KEPT)
	{
		state.kept->remove_last(state.kept, (void**)&last);
	}
	state.mutex->unlock(state.mutex);
	if (last)
	{
		kept_destroy(last);
	}
}

static bool find(ike_sa_t *ike_sa, identification_t *id,
				 certificate_t *cert, countersign_answer_t *answer)
{
	uint32_t sa = ike_sa->get_unique_id(ike_sa);
	enumerator_t *enumerator;
	kept_t *kept;
	bool found = FALSE;

	state.mutex->lock(state.mutex);
	enumerator = state.kept->create_enumerator(state.kept);
	while (!found && enumerator->enumerate(enumerator, &kept))
	{
		/* equals() of identities takes other cases for the same, the authorizer may not */
		if (kept->sa == sa && kept->id->get_type(kept->id) == id->get_type(id) &&
			chunk_equals(kept->id->get_encoding(kept->id), id->get_encoding(id)) &&
			kept->cert->equals(kept->cert, cert))
		{
			*answer = kept->answer;
			found = TRUE;
		}
	}
	enumerator->destroy(enumerator);
	state.mutex->unlock(state.mutex);
	return found;
}

static void forget(uint32_t sa)
{
	enumerator_t *enumerator;
	kept_t *kept;

	state.mutex->lock(state.mutex);
	enumerator = state.kept->create_enumerator(state.kept);
	while (enumerator->enumerate(enumerator, &kept))
	{
		if (kept->sa == sa)
		{
			state.kept->remove_at(state.kept, enumerator);
			kept_destroy(kept);
		}
	}
	enumerator->destroy(enumerator);
	state.mutex->unlock(state.mutex);
}

static bool validate_online(cert_validator_t *validator, certificate_t *subject,
							certificate_t *issuer, u_int pathlen, bool anchor, auth_cfg_t *auth)
{
	ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
	countersign_answer_t answer = {};
	identification_t *id;
	json_t *question;

	/* certificates of CAs, and those that no peer showed */
	if (pathlen || !ike_sa)
	{
		return TRUE;
	}
	id = ike_sa->get_other_id(ike_sa);
	if (!id || id->contains_wildcards(id))
	{
		return TRUE;
	}
	question = countersign_question(ike_sa, id);
	countersign_add_chain(question, subject, auth);
	countersign_ask(get_socket(), get_timeout("timeout", 5000), question, chunk_empty, &answer);
	json_decref(question);
	keep(ike_sa, id, subject, &answer);
	if (!answer.allowed)
	{
		report(id, "phase 1", &answer);
		lib->credmgr->call_hook(lib->credmgr, CRED_HOOK_POLICY_VIOLATION, subject);
	}
	return answer.allowed;
}

/* the round in which the peer was authenticated by certificate or pre-shared key */
static auth_cfg_t *proof(ike_sa_t *ike_sa)
{
	auth_cfg_t *auth, *found = NULL;
	enumerator_t *enumerator;

	enumerator = ike_sa->create_auth_cfg_enumerator(ike_sa, FALSE);
	while (!found && enumerator->enumerate(enumerator, &auth))
	{
		uintptr_t class = (uintptr_t)auth->get(auth, AUTH_RULE_AUTH_CLASS);

		if (auth->get(auth, AUTH_RULE_SUBJECT_CERT) || class == AUTH_CLASS_PSK)
		{
			found = auth;
		}
	}
	enumerator->destroy(enumerator);
	return found ?: ike_sa->get_auth_cfg(ike_sa, FALSE);
}

/* adds what the peer proved; the secret, if it is one, is the caller's to wipe */
static chunk_t add_proof(json_t *question, ike_sa_t *ike_sa, auth_cfg_t *auth, identification_t *id)
{
	certificate_t *cert = auth->get(auth, AUTH_RULE_SUBJECT_CERT);
	uintptr_t class = (uintptr_t)auth->get(auth, AUTH_RULE_AUTH_CLASS);
	chunk_t psk = chunk_empty;
	shared_key_t *shared;

	if (cert)
	{
		countersign_add_chain(question, cert, auth);
	}
	else if (class == AUTH_CLASS_PSK)
	{
		shared = lib->credmgr->get_shared(lib->credmgr, SHARED_IKE, ike_sa->get_my_id(ike_sa), id);
		if (shared)
		{
			psk = chunk_clone(shared->get_key(shared));
			shared->destroy(shared);
		}
	}
	return psk;
}

static bool authorize(listener_t *listener, ike_sa_t *ike_sa, bool final, bool *success)
{
	countersign_answer_t answer = {};
	certificate_t *cert;
	identification_t *id;
	auth_cfg_t *auth;
	json_t *question;
	chunk_t psk;

	if (!final)
	{
		return TRUE;
	}
	auth = proof(ike_sa);
	id = auth->get(auth, AUTH_RULE_IDENTITY) ?: ike_sa->get_other_id(ike_sa);
	cert = auth->get(auth, AUTH_RULE_SUBJECT_CERT);
	if (!cert || !find(ike_sa, id, cert, &answer))
	{
		question = countersign_question(ike_sa, id);
		psk = add_proof(question, ike_sa, auth, id);
		countersign_ask(get_socket(), get_timeout("timeout_authorize", 500), question, psk, &answer);
		chunk_clear(&psk);
		json_decref(question);
	}
	forget(ike_sa->get_unique_id(ike_sa));
	report(id, "phase 1", &answer);
	if (!answer.allowed)
	{
		*success = FALSE;
	}
	return TRUE;
}

static void clear(linked_list_t *list)
{
	traffic_selector_t *ts;

	while (list->remove_last(list, (void**)&ts) == SUCCESS)
	{
		ts->destroy(ts);
	}
}

static bool narrow(listener_t *listener, ike_sa_t *ike_sa, child_sa_t *child_sa,
				   narrow_hook_t type, linked_list_t *local, linked_list_t *remote)
{
	bool initiator = type == NARROW_INITIATOR_POST_AUTH || type == NARROW_INITIATOR_POST_NOAUTH;
	countersign_answer_t answer = {};
	identification_t *id;
	auth_cfg_t *auth;
	json_t *question;
	chunk_t psk;

	if ((!initiator && type != NARROW_RESPONDER) ||
		!local->get_count(local) || !remote->get_count(remote))
	{
		return TRUE;
	}
	auth = proof(ike_sa);
	id = auth->get(auth, AUTH_RULE_IDENTITY) ?: ike_sa->get_other_id(ike_sa);
	question = countersign_question(ike_sa, id);
	psk = add_proof(question, ike_sa, auth, id);
	countersign_add_child(question, ike_sa, child_sa, initiator, local, remote);
	countersign_ask(get_socket(), get_timeout("timeout_authorize", 500), question, psk, &answer);
	chunk_clear(&psk);
	json_decref(question);
	report(id, "phase 2", &answer);
	if (!answer.allowed)
	{
		clear(local);
		clear(remote);
	}
	return TRUE;
}

static bool ike_state_change(listener_t *listener, ike_sa_t *ike_sa, ike_sa_state_t to)
{
	if (to == IKE_DESTROYING)
	{
		forget(ike_sa->get_unique_id(ike_sa));
	}
	return TRUE;
}

METHOD(plugin_t, get_name, char*,
	private_countersign_plugin_t *this)
{
	return "countersign";
}

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
	state.kept->destroy_function(state.kept, (void*)kept_destroy);
	state.mutex->destroy(state.mutex);
	free(this);
}

plugin_t *countersign_plugin_create(void)
{
	private_countersign_plugin_t *this;

	INIT(this,
		.public = {
			.get_name = _get_name,
			.get_features = _get_features,
			.destroy = _destroy,
		},
		.listener = {
			.authorize = authorize,
			.narrow = narrow,
			.ike_state_change = ike_state_change,
		},
		.validator = {
			.validate_online = validate_online,
		},
	);
	state.kept = linked_list_create();
	state.mutex = mutex_create(MUTEX_TYPE_DEFAULT);
	return &this->public;
}
