/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Writes what charon knows of a peer as a question in JSON. */

#ifndef COUNTERSIGN_QUESTION_H_
#define COUNTERSIGN_QUESTION_H_

#include <daemon.h>
#include <jansson.h>

typedef struct countersign_child_t countersign_child_t;

/* what was negotiated in phase 2 */
struct countersign_child_t {
	child_sa_t *child_sa;
	/* the selected proposal, which child_sa may not have yet; NULL if it is not known */
	proposal_t *proposal;
	/* whether this end initiated phase 2 */
	bool initiator;
	/* the traffic selectors of this end and of the peer, traffic_selector_t */
	linked_list_t *local;
	linked_list_t *remote;
};

/* Makes a question about phase 1, which does not say yet how the peer was authenticated. remote is the peer's identity. */
json_t *countersign_question(ike_sa_t *ike_sa, identification_t *remote);

/*
 * Adds the peer's certificates, its own first, or its raw key. FALSE if its own certificate or key cannot be encoded. A CA's certificate that
 * cannot be, or for which there is no room, is left out.
 */
bool countersign_add_subject(json_t *question, auth_cfg_t *auth);

/*
 * Adds the method that authenticated the peer, where the question has no public key: pre-shared key, EAP or XAuth. FALSE for any other, and
 * on failure.
 */
bool countersign_add_class(json_t *question, auth_class_t class);

/*
 * Adds the traffic selectors and the proposal of phase 2. FALSE if they cannot be encoded. The caller must not send the question then:
 * without them it asks about phase 1.
 */
bool countersign_add_child(json_t *question, countersign_child_t *child);

#endif
