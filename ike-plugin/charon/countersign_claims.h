/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a peer has shown of itself. */

#ifndef COUNTERSIGN_CLAIMS_H_
#define COUNTERSIGN_CLAIMS_H_

#include <daemon.h>

/* the most pre-shared keys that are asked about for one peer */
#define MAX_PSKS 8

typedef struct countersign_claim_t countersign_claim_t;

/* one way in which the peer was authenticated; at most one of auth and psk */
struct countersign_claim_t {
	identification_t *id;
	/* holds its certificate or raw key, and CAs' certificates */
	auth_cfg_t *auth;
	shared_key_t *psk;
	/* without both, what vouches for the ID: AUTH_CLASS_EAP or AUTH_CLASS_XAUTH */
	auth_class_t class;
};

/*
 * The claims of an authenticated peer, countersign_claim_t: each must be allowed. Rounds with a certificate, a raw key or a pre-shared
 * key count; EAP and XAuth where there is none of them. psk is the one that IKEv1's keys came from, if it did; IKEv2 does not say which
 * of the keys for both IDs the peer knows, so that each of them is a claim. NULL if it cannot be told what the peer has shown; why is
 * then in problem.
 */
linked_list_t *countersign_claims(ike_sa_t *ike_sa, shared_key_t *psk, const char **problem);

void countersign_claims_destroy(linked_list_t *claims);

#endif
