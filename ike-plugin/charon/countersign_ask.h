/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One question to the authorizer, over its Unix socket: docs/authorizer.md has the protocol. */

#ifndef COUNTERSIGN_ASK_H_
#define COUNTERSIGN_ASK_H_

#include <library.h>
#include <jansson.h>

typedef struct countersign_answer_t countersign_answer_t;

/* What was answered; without an answer, a refusal that says why. */
struct countersign_answer_t {
	/* whether the peer may come in */
	bool allowed;
	/* the step that decided, the reason in words, and the name in the decision log */
	char step[32];
	char reason[512];
	char trace[64];
};

/* Milliseconds of a clock that only goes forward. */
int64_t countersign_now(void);

/*
 * Asks, and waits until countersign_now() is deadline. Whatever goes wrong is a refusal.
 *
 * question		the question, not consumed
 * psk			pre-shared key that the peer proved, or chunk_empty
 */
void countersign_ask(char *socket, int64_t deadline, json_t *question, chunk_t psk,
					 countersign_answer_t *answer);

#endif
