/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is kept of IKE_SAs: the answers about peers that are not authenticated yet, and the pre-shared keys of IKEv1. Whoever reaches
 * charon can have something kept, so there are bounds; what is not kept is asked or looked up again.
 */

#ifndef COUNTERSIGN_KEPT_H_
#define COUNTERSIGN_KEPT_H_

#include "countersign_ask.h"

#include <daemon.h>

/* IKE_SAs */
#define MAX_SAS 4096
/* answers about one of them */
#define MAX_ANSWERS 8

typedef struct countersign_kept_t countersign_kept_t;

countersign_kept_t *countersign_kept_create(void);

/* Keeps an answer about the peer with this ID and certificate, under the connection that the IKE_SA has now. */
void countersign_keep(countersign_kept_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer);

/* Finds the latest answer about just this peer and connection. */
bool countersign_find(countersign_kept_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer);

void countersign_keep_psk(countersign_kept_t *this, ike_sa_t *ike_sa, shared_key_t *psk);

/* The pre-shared key that was kept, to be destroyed, or NULL. */
shared_key_t *countersign_find_psk(countersign_kept_t *this, ike_sa_t *ike_sa);

/* Forgets the answers, and with gone the key, too. */
void countersign_forget(countersign_kept_t *this, ike_sa_t *ike_sa, bool gone);

void countersign_kept_destroy(countersign_kept_t *this);

#endif
