/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A cache with an entry for each IKE_SA: the answers about a peer that is not authenticated yet, and the pre-shared key of IKEv1.
 *
 * Unauthenticated peers can cause entries, so the cache is bounded. A missing entry does no harm: the plugin asks the authorizer again,
 * or looks the pre-shared keys up.
 */

#ifndef COUNTERSIGN_CACHE_H_
#define COUNTERSIGN_CACHE_H_

#include "countersign_ask.h"

#include <daemon.h>

/* the most IKE_SAs with an entry; a further one gets none */
#define MAX_SAS 4096
/* the most answers of one entry; a new one replaces the oldest */
#define MAX_ANSWERS 8

typedef struct countersign_cache_t countersign_cache_t;

countersign_cache_t *countersign_cache_create(void);

/* Adds an answer about the peer with this ID and certificate, for the connection that charon has selected for the IKE_SA so far. */
void countersign_cache_answer(countersign_cache_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer);

/* Finds the latest answer about exactly this ID, certificate and connection. FALSE if there is none. */
bool countersign_cached_answer(countersign_cache_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer);

/* Keeps the pre-shared key that IKEv1 derived the IKE_SA's keys from, in the place of an earlier one. */
void countersign_cache_psk(countersign_cache_t *this, ike_sa_t *ike_sa, shared_key_t *psk);

/* The pre-shared key that countersign_cache_psk() has kept for the IKE_SA, or NULL. The caller destroys it. */
shared_key_t *countersign_cached_psk(countersign_cache_t *this, ike_sa_t *ike_sa);

/* Removes the answers of the IKE_SA, and, if gone is TRUE, its pre-shared key, too. */
void countersign_cache_forget(countersign_cache_t *this, ike_sa_t *ike_sa, bool gone);

void countersign_cache_destroy(countersign_cache_t *this);

#endif
