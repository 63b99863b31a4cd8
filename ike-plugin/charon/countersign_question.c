/* SPDX-License-Identifier: GPL-2.0-or-later */

#define _GNU_SOURCE
#include "countersign_question.h"
#include "countersign_versions.h"

#include <stdio.h>

/* the most certificates of a chain, which is also the most that the authorizer accepts */
#define MAX_CHAIN 16

static json_t *base64(chunk_t octets)
{
	chunk_t text = chunk_to_base64(octets, NULL);
	json_t *string = json_stringn((char*)text.ptr, text.len);

	chunk_free(&text);
	return string;
}

static json_t *address(chunk_t octets, int family)
{
	host_t *host = host_create_from_chunk(family, octets, 0);
	char text[64] = "";
	json_t *string;

	if (host)
	{
		snprintf(text, sizeof(text), "%H", host);
		host->destroy(host);
	}
	string = json_string(text);
	return string;
}

/* one end of the IKE_SA */
static json_t *end(host_t *host, identification_t *id)
{
	return json_pack("{s:o,s:i,s:{s:i,s:o}}",
					 "address", address(host->get_address(host), host->get_family(host)),
					 "port", (int)host->get_port(host),
					 "id", "type", (int)id->get_type(id),
					 "data", base64(id->get_encoding(id)));
}

/* the exchange of phase 1, as the protocol names it */
static const char *mode(ike_sa_t *ike_sa)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);

	if (ike_sa->get_version(ike_sa) != IKEV1)
	{
		return "ike_sa";
	}
	return cfg && countersign_is_aggressive(cfg) ? "aggressive" : "main";
}

static json_t *ike_proposal(ike_sa_t *ike_sa)
{
	proposal_t *proposal = ike_sa->get_proposal(ike_sa);
	json_t *object = json_object();
	uint16_t group;
	char *text;

	if (proposal)
	{
		if (asprintf(&text, "%P", proposal) >= 0)
		{
			json_object_set_new(object, "text", json_string(text));
			free(text);
		}
		if (proposal->get_algorithm(proposal, KEY_EXCHANGE_METHOD, &group, NULL))
		{
			json_object_set_new(object, "group", json_integer(group));
		}
	}
	return object;
}

/*
 * The identity of this end, which the caller destroys. A responder selects it only when it answers; before that, it is taken from the
 * configuration. If that has none either, it is this end's address.
 */
static identification_t *local_id(ike_sa_t *ike_sa)
{
	identification_t *id = ike_sa->get_my_id(ike_sa), *configured;
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);
	host_t *host = ike_sa->get_my_host(ike_sa);
	enumerator_t *enumerator;
	auth_cfg_t *auth;

	if (id && !id->contains_wildcards(id))
	{
		return id->clone(id);
	}
	id = NULL;
	if (cfg)
	{
		enumerator = cfg->create_auth_cfg_enumerator(cfg, TRUE);
		if (enumerator->enumerate(enumerator, &auth))
		{
			configured = auth->get(auth, AUTH_RULE_IDENTITY);
			if (configured && !configured->contains_wildcards(configured))
			{
				id = configured->clone(configured);
			}
		}
		enumerator->destroy(enumerator);
	}
	return id ?: identification_create_from_sockaddr(host->get_sockaddr(host));
}

json_t *countersign_question(ike_sa_t *ike_sa, identification_t *remote)
{
	bool initiator = ike_sa->has_condition(ike_sa, COND_ORIGINAL_INITIATOR);
	identification_t *local = local_id(ike_sa);
	char *name = ike_sa->get_name(ike_sa);
	json_t *question;

	question = json_pack("{s:i,s:s,s:i,s:s,s:s,s:o,s:o,s:o}",
			"v", 1, "daemon", "charon",
			"ike", ike_sa->get_version(ike_sa) == IKEV1 ? 1 : 2,
			"mode", mode(ike_sa),
			"role", initiator ? "initiator" : "responder",
			"local", end(ike_sa->get_my_host(ike_sa), local),
			"remote", end(ike_sa->get_other_host(ike_sa), remote),
			"proposal", ike_proposal(ike_sa));
	local->destroy(local);
	if (name)
	{
		json_object_set_new(question, "connection", json_string(name));
	}
	return question;
}

static bool add_certificate(json_t *chain, certificate_t *cert)
{
	chunk_t encoding;
	bool added;

	if (json_array_size(chain) >= MAX_CHAIN ||
		!cert->get_encoding(cert, CERT_ASN1_DER, &encoding))
	{
		return FALSE;
	}
	added = json_array_append_new(chain, base64(encoding)) == 0;
	chunk_free(&encoding);
	return added;
}

static bool add_raw_key(json_t *question, certificate_t *cert)
{
	public_key_t *key = cert->get_public_key(cert);
	chunk_t encoding;
	bool added = FALSE;

	if (key && key->get_encoding(key, PUBKEY_SPKI_ASN1_DER, &encoding))
	{
		added = json_object_set_new(question, "auth", json_string("raw")) == 0 &&
				json_object_set_new(question, "key", base64(encoding)) == 0;
		chunk_free(&encoding);
	}
	DESTROY_IF(key);
	return added;
}

bool countersign_add_subject(json_t *question, auth_cfg_t *auth)
{
	certificate_t *subject = auth->get(auth, AUTH_RULE_SUBJECT_CERT);
	json_t *chain;
	enumerator_t *enumerator;
	auth_rule_t rule;
	void *value;

	if (subject && subject->get_type(subject) == CERT_TRUSTED_PUBKEY)
	{
		return add_raw_key(question, subject);
	}
	chain = json_array();
	if (!subject || subject->get_type(subject) != CERT_X509 || !add_certificate(chain, subject))
	{
		json_decref(chain);
		return FALSE;
	}
	enumerator = auth->create_enumerator(auth);
	while (enumerator->enumerate(enumerator, &rule, &value))
	{
		if (rule == AUTH_RULE_IM_CERT)
		{
			add_certificate(chain, value);
		}
	}
	enumerator->destroy(enumerator);
	return json_object_set_new(question, "chain", chain) == 0 &&
		   json_object_set_new(question, "auth", json_string("cert")) == 0;
}

bool countersign_add_class(json_t *question, auth_class_t class)
{
	const char *name;

	switch (class)
	{
		case AUTH_CLASS_PSK:
			name = "psk";
			break;
		case AUTH_CLASS_EAP:
			name = "eap";
			break;
		case AUTH_CLASS_XAUTH:
			name = "xauth";
			break;
		default:
			return FALSE;
	}
	return json_object_set_new(question, "auth", json_string(name)) == 0;
}

/* All traffic selectors, or NULL on failure: the authorizer would not judge one that is left out. */
static json_t *selectors(linked_list_t *list)
{
	json_t *array = json_array();
	enumerator_t *enumerator;
	traffic_selector_t *ts;
	bool whole = array != NULL;

	enumerator = list->create_enumerator(list);
	while (whole && enumerator->enumerate(enumerator, &ts))
	{
		int family = ts->get_type(ts) == TS_IPV4_ADDR_RANGE ? AF_INET : AF_INET6;

		whole = json_array_append_new(array, json_pack("{s:o,s:o,s:i,s:i,s:i}",
					"from", address(ts->get_from_address(ts), family),
					"to", address(ts->get_to_address(ts), family),
					"protocol", (int)ts->get_protocol(ts),
					"from_port", (int)ts->get_from_port(ts),
					"to_port", (int)ts->get_to_port(ts))) == 0;
	}
	enumerator->destroy(enumerator);
	if (!whole)
	{
		json_decref(array);
		return NULL;
	}
	return array;
}

/* adds the algorithm of this type, and its key length, if the proposal has one; FALSE on failure */
static bool add_algorithm(json_t *to, const char *name, proposal_t *proposal,
						  transform_type_t type, bool with_key_length)
{
	uint16_t algorithm, key_length = 0;

	if (!proposal->get_algorithm(proposal, type, &algorithm, &key_length) || !algorithm)
	{
		return TRUE;
	}
	return json_object_set_new(to, name, json_integer(algorithm)) == 0 &&
		   (!with_key_length || !key_length ||
			json_object_set_new(to, "key_length", json_integer(key_length)) == 0);
}

/* adds a lifetime, unless it is unlimited (0). More than 32 bits become the largest number of 32 bits. FALSE on failure. */
static bool add_life(json_t *to, const char *name, uint64_t life)
{
	return !life || json_object_set_new(to, name, json_integer(min(life, UINT32_MAX))) == 0;
}

static json_t *child_proposal(proposal_t *proposal, child_cfg_t *cfg)
{
	lifetime_cfg_t *lifetime = cfg->get_lifetime(cfg, FALSE);
	bool ah = proposal->get_protocol(proposal) == PROTO_AH;
	/* whether the peer agrees to IPComp is not known yet, so this is what the configuration says */
	json_t *object = json_pack("{s:s,s:b}", "protocol", ah ? "ah" : "esp",
							   "ipcomp", (int)cfg->has_option(cfg, OPT_IPCOMP));

	if (!add_algorithm(object, "encryption", proposal, ENCRYPTION_ALGORITHM, TRUE) ||
		!add_algorithm(object, "integrity", proposal, INTEGRITY_ALGORITHM, FALSE) ||
		!add_life(object, "life_seconds", lifetime->time.life) ||
		!add_life(object, "life_kbytes", lifetime->bytes.life / 1024))
	{
		json_decref(object);
		object = NULL;
	}
	free(lifetime);
	return object;
}

bool countersign_add_child(json_t *question, countersign_child_t *child)
{
	child_cfg_t *cfg = child->child_sa->get_config(child->child_sa);
	json_t *object;

	object = json_pack("{s:s,s:s,s:o,s:o,s:s,s:o}",
			"name", child->child_sa->get_name(child->child_sa),
			"role", child->initiator ? "initiator" : "responder",
			"local", selectors(child->local), "remote", selectors(child->remote),
			"mode", cfg->get_mode(cfg) == MODE_TRANSPORT ? "transport" : "tunnel",
			"proposal", child_proposal(child->proposal, cfg));
	if (!add_algorithm(object, "group", child->proposal, KEY_EXCHANGE_METHOD, FALSE))
	{
		json_decref(object);
		return FALSE;
	}
	return json_object_set_new(question, "child", object) == 0;
}
