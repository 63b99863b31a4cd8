/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What charon knows of a peer, as a question. */

#ifndef COUNTERSIGN_QUESTION_H_
#define COUNTERSIGN_QUESTION_H_

#include <daemon.h>
#include <jansson.h>

/* A question about phase 1; remote is who the peer says it is. */
json_t *countersign_question(ike_sa_t *ike_sa, identification_t *remote);

/* Adds the certificates of a peer, its own first. */
void countersign_add_chain(json_t *question, certificate_t *subject, auth_cfg_t *auth);

/* Adds the traffic and the proposal of phase 2. */
void countersign_add_child(json_t *question, ike_sa_t *ike_sa, child_sa_t *child_sa,
						   bool initiator, linked_list_t *local, linked_list_t *remote);

#endif
