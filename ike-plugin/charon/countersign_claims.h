/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a peer has proved about itself during authentication. */

#ifndef COUNTERSIGN_CLAIMS_H_
#define COUNTERSIGN_CLAIMS_H_

#include <daemon.h>

/* the most pre-shared keys of one peer that the authorizer is asked about */
#define MAX_PSKS 8

typedef struct countersign_claim_t countersign_claim_t;

/* one way in which the peer was authenticated; at most one of auth and psk is set */
struct countersign_claim_t {
	identification_t *id;
	/* the peer's certificate or raw key, and the certificates of CAs that came with it */
	auth_cfg_t *auth;
	shared_key_t *psk;
	/* if neither is set, the method that vouches for the ID: AUTH_CLASS_EAP or AUTH_CLASS_XAUTH */
	auth_class_t class;
};

/*
 * Collects the claims of an authenticated peer, a list of countersign_claim_t. The authorizer must allow each of them.
 *
 * Authentication rounds with a certificate, a raw key or a pre-shared key count. Rounds with EAP or XAuth count only if there is no other.
 *
 * psk			the pre-shared key that IKEv1 derived its keys from, or NULL. In IKEv2 charon does not say which of the pre-shared keys
 *				configured for both IDs the peer knows, so each of them becomes a claim.
 * problem		receives the reason if NULL is returned
 * return		the claims, or NULL if it is not known what the peer has proved
 */
linked_list_t *countersign_claims(ike_sa_t *ike_sa, shared_key_t *psk, const char **problem);

/* Destroys the list and the claims in it. */
void countersign_claims_destroy(linked_list_t *claims);

#endif
