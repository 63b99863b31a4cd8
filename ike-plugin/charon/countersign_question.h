/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What charon knows of a peer, as a question. */

#ifndef COUNTERSIGN_QUESTION_H_
#define COUNTERSIGN_QUESTION_H_

#include <daemon.h>
#include <jansson.h>

typedef struct countersign_child_t countersign_child_t;

/* what is asked for in phase 2 */
struct countersign_child_t {
	child_sa_t *child_sa;
	/* the proposal that was agreed on: the CHILD_SA may not have it yet */
	proposal_t *proposal;
	/* whether this end began phase 2 */
	bool initiator;
	/* traffic_selector_t */
	linked_list_t *local;
	linked_list_t *remote;
};

/* A question about phase 1; remote is who the peer says it is. */
json_t *countersign_question(ike_sa_t *ike_sa, identification_t *remote);

/* Adds the peer's certificates, its own first, or its raw key. FALSE if they cannot be written down. */
bool countersign_add_subject(json_t *question, auth_cfg_t *auth);

/* Adds that the peer was authenticated by what is not in the question, or has no public key. FALSE if that cannot be written down. */
bool countersign_add_class(json_t *question, auth_class_t class);

/* Adds the traffic and the proposal of phase 2. FALSE if they cannot be written down: without them it is a question about phase 1. */
bool countersign_add_child(json_t *question, countersign_child_t *child);

#endif
