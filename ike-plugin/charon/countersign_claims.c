/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "countersign_claims.h"

#include <collections/linked_list.h>

static void claim_destroy(countersign_claim_t *this)
{
	this->id->destroy(this->id);
	DESTROY_IF(this->auth);
	DESTROY_IF(this->psk);
	free(this);
}

void countersign_claims_destroy(linked_list_t *claims)
{
	claims->destroy_function(claims, (void*)claim_destroy);
}

/* adds a claim; takes references to what it is given */
static void add(linked_list_t *claims, identification_t *id, auth_class_t class, auth_cfg_t *auth,
				shared_key_t *psk)
{
	countersign_claim_t *this;

	INIT(this,
		.id = id->clone(id),
		.class = class,
		.auth = auth ? auth->clone(auth) : NULL,
		.psk = psk ? psk->get_ref(psk) : NULL,
	);
	claims->insert_last(claims, this);
}

/* whether a claim with this pre-shared key, for whichever ID, is in the list */
static bool is_claimed(linked_list_t *claims, shared_key_t *psk)
{
	countersign_claim_t *claim;
	enumerator_t *enumerator;
	bool found = FALSE;

	enumerator = claims->create_enumerator(claims);
	while (!found && enumerator->enumerate(enumerator, &claim))
	{
		found = claim->psk &&
				chunk_equals_const(claim->psk->get_key(claim->psk), psk->get_key(psk));
	}
	enumerator->destroy(enumerator);
	return found;
}

/*
 * Adds a claim for each pre-shared key that is configured for both IDs and not claimed yet. Returns how many it added, and stops at
 * MAX_PSKS + 1, which is too many.
 */
static u_int add_configured_psks(linked_list_t *claims, ike_sa_t *ike_sa, identification_t *id)
{
	enumerator_t *enumerator;
	shared_key_t *psk;
	u_int count = 0;

	enumerator = lib->credmgr->create_shared_enumerator(lib->credmgr, SHARED_IKE,
														ike_sa->get_my_id(ike_sa), id);
	while (count <= MAX_PSKS && enumerator->enumerate(enumerator, &psk, NULL, NULL))
	{
		if (!is_claimed(claims, psk))
		{
			add(claims, id, AUTH_CLASS_PSK, NULL, psk);
			count++;
		}
	}
	enumerator->destroy(enumerator);
	return count;
}

/* the identity that a round has authenticated; NULL if that is not known */
static identification_t *identity(ike_sa_t *ike_sa, auth_cfg_t *round, auth_class_t class)
{
	identification_t *id = NULL;

	if (class == AUTH_CLASS_EAP)
	{
		id = round->get(round, AUTH_RULE_EAP_IDENTITY);
	}
	else if (class == AUTH_CLASS_XAUTH)
	{
		id = round->get(round, AUTH_RULE_XAUTH_IDENTITY);
	}
	if (id)
	{	/* charon may read a user name as "any". The ID of phase 1 would be wrong then: this round has not authenticated it. */
		return id->get_type(id) == ID_ANY ? NULL : id;
	}
	id = round->get(round, AUTH_RULE_IDENTITY);
	return id && id->get_type(id) != ID_ANY ? id : ike_sa->get_other_id(ike_sa);
}

linked_list_t *countersign_claims(ike_sa_t *ike_sa, shared_key_t *psk, const char **problem)
{
	linked_list_t *claims = linked_list_create(), *weak = linked_list_create();
	enumerator_t *enumerator;
	identification_t *id;
	auth_cfg_t *round;
	u_int keys;

	*problem = NULL;
	enumerator = ike_sa->create_auth_cfg_enumerator(ike_sa, FALSE);
	while (!*problem && enumerator->enumerate(enumerator, &round))
	{
		auth_class_t class = (uintptr_t)round->get(round, AUTH_RULE_AUTH_CLASS);

		id = identity(ike_sa, round, class);
		if (!id)
		{
			*problem = "its user name means nobody";
		}
		else if (round->get(round, AUTH_RULE_SUBJECT_CERT))
		{
			add(claims, id, class, round, NULL);
		}
		else if (class == AUTH_CLASS_EAP || class == AUTH_CLASS_XAUTH)
		{
			add(weak, id, class, NULL, NULL);
		}
		else if (class != AUTH_CLASS_PSK)
		{
			*problem = "what it was authenticated with is not known any more";
		}
		else if (psk)
		{
			add(claims, id, class, NULL, psk);
		}
		else
		{
			keys = add_configured_psks(claims, ike_sa, id);
			*problem = keys == 0 ? "its pre-shared key is not configured any more"
					 : keys > MAX_PSKS ? "too many pre-shared keys are configured for its ID" : NULL;
		}
	}
	enumerator->destroy(enumerator);

	if (!claims->get_count(claims))
	{
		linked_list_t *none = claims;

		claims = weak;
		weak = none;
	}
	if (!*problem && !claims->get_count(claims))
	{
		*problem = "it is not known how it was authenticated";
	}
	countersign_claims_destroy(weak);
	if (*problem)
	{
		countersign_claims_destroy(claims);
		return NULL;
	}
	return claims;
}
