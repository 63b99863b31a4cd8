/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Sends one question to the authorizer over its Unix socket. docs/authorizer.md describes the protocol. */

#ifndef COUNTERSIGN_ASK_H_
#define COUNTERSIGN_ASK_H_

#include <library.h>
#include <jansson.h>

typedef struct countersign_answer_t countersign_answer_t;

/* The authorizer's answer. If no answer came or none can be understood, this is a refusal whose reason says why. */
struct countersign_answer_t {
	/* whether the peer is authorized */
	bool allowed;
	/* the step that decided, the reason in words, and the name of the decision in the authorizer's log, which is empty without an answer */
	char step[32];
	char reason[512];
	char trace[64];
};

/* The time of a monotonic clock in milliseconds, from an arbitrary moment on. */
int64_t countersign_now(void);

/*
 * Asks the authorizer, and waits for the answer until countersign_now() reaches deadline. Any failure gives a refusal.
 *
 * socket		path of the authorizer's socket
 * deadline		a time of countersign_now()
 * question		the question, to which timeout_ms is added; the caller keeps its reference
 * psk			the pre-shared key that the peer has proved to know, or chunk_empty
 * answer		receives the answer
 */
void countersign_ask(char *socket, int64_t deadline, json_t *question, chunk_t psk,
					 countersign_answer_t *answer);

#endif
