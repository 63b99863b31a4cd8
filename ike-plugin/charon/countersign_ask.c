/* SPDX-License-Identifier: GPL-2.0-or-later */

#define _GNU_SOURCE
#include "countersign_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* the longest answer in octets, line feed included */
#define MAX_ANSWER 65536

int64_t countersign_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* makes the refusal for a failure to ask; error is an errno, or 0 if there is none */
static void refuse(countersign_answer_t *answer, const char *socket, const char *what, int error)
{
	answer->allowed = FALSE;
	snprintf(answer->step, sizeof(answer->step), "authorizer");
	snprintf(answer->reason, sizeof(answer->reason), "the authorizer at `%s` %s%s%s", socket, what,
			 error ? ": " : "", error ? strerror(error) : "");
	answer->trace[0] = '\0';
}

/* waits until the socket is ready for these events of poll(); returns 0 or an errno */
static int ready(int fd, short events, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t left;
	int res;

	do
	{
		left = deadline - countersign_now();
		if (left <= 0)
		{
			return ETIMEDOUT;
		}
		res = poll(&pfd, 1, left);
	}
	while (res < 0 && errno == EINTR);

	return res > 0 ? 0 : res == 0 ? ETIMEDOUT : errno;
}

/* connects to the socket; returns 0 or an errno. The caller closes fd in either case if it is set. */
static int dial(char *path, int64_t deadline, int *fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(int);
	int error = 0;

	if (strlen(path) >= sizeof(addr.sun_path))
	{
		return ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
	{
		return errno;
	}
	while (connect(*fd, (struct sockaddr*)&addr, sizeof(addr)) != 0)
	{
		if (errno == EAGAIN)
		{	/* the listener's backlog is full, for which poll() does not wait on Unix sockets */
			if (countersign_now() >= deadline)
			{
				return ETIMEDOUT;
			}
			usleep(5000);
			continue;
		}
		if (errno != EINPROGRESS)
		{
			return errno;
		}
		error = ready(*fd, POLLOUT, deadline);
		if (!error && getsockopt(*fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		{
			error = errno;
		}
		return error;
	}
	return 0;
}

/* sends all of the line; returns 0 or an errno */
static int put(int fd, const char *line, size_t len, int64_t deadline)
{
	ssize_t sent;
	int error;

	while (len)
	{
		sent = send(fd, line, len, MSG_NOSIGNAL);
		if (sent > 0)
		{
			line += sent;
			len -= sent;
		}
		else if (errno != EAGAIN && errno != EINTR)
		{
			return errno;
		}
		else if ((error = ready(fd, POLLOUT, deadline)))
		{
			return error;
		}
	}
	return 0;
}

/* reads up to the line feed; len receives the length before it. Returns 0 or an errno. line has room for MAX_ANSWER octets. */
static int get(int fd, char *line, size_t *len, int64_t deadline)
{
	size_t have = 0;
	ssize_t got;
	int error;

	while (have < MAX_ANSWER)
	{
		got = recv(fd, line + have, MAX_ANSWER - have, 0);
		if (got > 0)
		{
			char *end = memchr(line + have, '\n', got);

			have += got;
			if (end)
			{
				*len = end - line;
				return 0;
			}
		}
		else if (got == 0)
		{
			return ECONNRESET;
		}
		else if (errno != EAGAIN && errno != EINTR)
		{
			return errno;
		}
		else if ((error = ready(fd, POLLIN, deadline)))
		{
			return error;
		}
	}
	return EMSGSIZE;
}

/* copies a member of the answer as text, cut off after len - 1 octets; a missing one is empty */
static void copy(json_t *from, const char *name, char *to, size_t len)
{
	const char *text = json_string_value(json_object_get(from, name));

	snprintf(to, len, "%s", text ? text : "");
	for (; *to; to++)
	{	/* the text goes into charon's log, which must not get control characters */
		if ((unsigned char)*to < ' ' || *to == 0x7f)
		{
			*to = '?';
		}
	}
}

/* reads the line that the authorizer answered; one that cannot be understood is a refusal */
static void understand(const char *line, size_t len, char *socket, countersign_answer_t *answer)
{
	json_error_t error;
	json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const char *decision = json_string_value(json_object_get(object, "decision"));

	if (json_integer_value(json_object_get(object, "v")) != 1 || !decision ||
		(!streq(decision, "allow") && !streq(decision, "deny")))
	{
		refuse(answer, socket, "gave an answer that cannot be understood", 0);
	}
	else
	{
		answer->allowed = streq(decision, "allow");
		copy(object, "step", answer->step, sizeof(answer->step));
		copy(object, "reason", answer->reason, sizeof(answer->reason));
		copy(object, "trace", answer->trace, sizeof(answer->trace));
	}
	json_decref(object);
}

/*
 * The question as a line of len octets, or NULL if it cannot be encoded. The pre-shared key is put in by hand, because the JSON library does
 * not wipe the memory that it frees.
 */
static char *encode(json_t *question, chunk_t psk, size_t *len)
{
	char *text = json_dumps(question, JSON_COMPACT), *line = NULL;
	chunk_t base64;

	if (text && !psk.len)
	{
		*len = asprintf(&line, "%s\n", text);
	}
	else if (text)
	{
		base64 = chunk_to_base64(psk, NULL);
		*len = asprintf(&line, "{\"psk\":\"%.*s\",%s\n", (int)base64.len, (char*)base64.ptr,
						text + 1);
		chunk_clear(&base64);
	}
	free(text);
	return line;
}

void countersign_ask(char *socket, int64_t deadline, json_t *question, chunk_t psk,
					 countersign_answer_t *answer)
{
	int64_t left = deadline - countersign_now();
	size_t len = 0;
	char *line, *reply;
	int fd = -1, error;

	if (left <= 0)
	{
		refuse(answer, socket, "cannot be asked", ETIMEDOUT);
		return;
	}
	/* the authorizer is given less time, so that its own refusal arrives before this side times out */
	json_object_set_new(question, "timeout_ms", json_integer(left - left / 10));
	line = encode(question, psk, &len);
	reply = malloc(MAX_ANSWER);
	if (!line || !reply)
	{
		refuse(answer, socket, "cannot be asked: the question cannot be written", 0);
	}
	else if ((error = dial(socket, deadline, &fd)))
	{
		refuse(answer, socket, "cannot be reached", error);
	}
	else if ((error = put(fd, line, len, deadline)) ||
			 (error = get(fd, reply, &len, deadline)))
	{
		refuse(answer, socket, "did not answer", error);
	}
	else
	{
		understand(reply, len, socket, answer);
	}
	if (line)
	{
		memwipe(line, strlen(line));
	}
	free(line);
	free(reply);
	if (fd >= 0)
	{
		close(fd);
	}
}
