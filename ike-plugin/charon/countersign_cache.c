/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "countersign_cache.h"

#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct cached_answer_t cached_answer_t;
typedef struct entry_t entry_t;

struct countersign_cache_t {
	/* entry_t by the unique ID of the IKE_SA */
	hashtable_t *sas;
	/* no thread blocks while it holds this */
	mutex_t *mutex;
};

/* an answer, and what the question was about */
struct cached_answer_t {
	identification_t *id;
	certificate_t *cert;
	char *connection;
	countersign_answer_t answer;
};

struct entry_t {
	/* a ring of answers, of which the first `count` are set; the next answer goes to `next` modulo MAX_ANSWERS */
	cached_answer_t answers[MAX_ANSWERS];
	u_int count;
	u_int next;
	shared_key_t *psk;
};

countersign_cache_t *countersign_cache_create(void)
{
	countersign_cache_t *this;

	INIT(this,
		.sas = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	return this;
}

/* the key of an IKE_SA in the table */
static void *key(ike_sa_t *ike_sa)
{
	return (void*)(uintptr_t)ike_sa->get_unique_id(ike_sa);
}

/* the entry of the IKE_SA, which is made if there is none; NULL if the table is full */
static entry_t *get_or_create(countersign_cache_t *this, ike_sa_t *ike_sa)
{
	entry_t *sa = this->sas->get(this->sas, key(ike_sa));

	if (!sa && this->sas->get_count(this->sas) < MAX_SAS)
	{
		INIT(sa);
		this->sas->put(this->sas, key(ike_sa), sa);
	}
	return sa;
}

static void answer_clear(cached_answer_t *this)
{
	DESTROY_IF(this->id);
	DESTROY_IF(this->cert);
	free(this->connection);
	memset(this, 0, sizeof(*this));
}

static void answers_clear(entry_t *this)
{
	u_int i;

	for (i = 0; i < this->count; i++)
	{
		answer_clear(&this->answers[i]);
	}
	this->count = this->next = 0;
}

static void sa_destroy(entry_t *this, const void *key)
{
	answers_clear(this);
	DESTROY_IF(this->psk);
	free(this);
}

void countersign_cache_answer(countersign_cache_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer)
{
	cached_answer_t *cached;
	entry_t *sa;

	this->mutex->lock(this->mutex);
	sa = get_or_create(this, ike_sa);
	if (sa)
	{
		cached = &sa->answers[sa->next++ % MAX_ANSWERS];
		sa->count = min(sa->count + 1, MAX_ANSWERS);
		answer_clear(cached);
		cached->id = id->clone(id);
		cached->cert = cert->get_ref(cert);
		cached->connection = strdup(ike_sa->get_name(ike_sa));
		cached->answer = *answer;
	}
	this->mutex->unlock(this->mutex);
}

/*
 * Whether an answer is about exactly this peer. identification_t.equals() ignores case, and the authorizer may not, so that this compares
 * the encodings.
 */
static bool is_about(cached_answer_t *this, identification_t *id, certificate_t *cert, char *connection)
{
	return this->id->get_type(this->id) == id->get_type(id) &&
		   chunk_equals(this->id->get_encoding(this->id), id->get_encoding(id)) &&
		   this->cert->equals(this->cert, cert) && streq(this->connection, connection);
}

bool countersign_cached_answer(countersign_cache_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer)
{
	bool found = FALSE;
	cached_answer_t *cached;
	entry_t *sa;
	u_int back;

	this->mutex->lock(this->mutex);
	sa = this->sas->get(this->sas, key(ike_sa));
	for (back = 1; sa && !found && back <= sa->count; back++)
	{
		cached = &sa->answers[(sa->next - back) % MAX_ANSWERS];
		found = is_about(cached, id, cert, ike_sa->get_name(ike_sa));
		if (found)
		{
			*answer = cached->answer;
		}
	}
	this->mutex->unlock(this->mutex);
	return found;
}

void countersign_cache_psk(countersign_cache_t *this, ike_sa_t *ike_sa, shared_key_t *psk)
{
	entry_t *sa;

	this->mutex->lock(this->mutex);
	sa = get_or_create(this, ike_sa);
	if (sa)
	{
		DESTROY_IF(sa->psk);
		sa->psk = psk->get_ref(psk);
	}
	this->mutex->unlock(this->mutex);
}

shared_key_t *countersign_cached_psk(countersign_cache_t *this, ike_sa_t *ike_sa)
{
	shared_key_t *psk = NULL;
	entry_t *sa;

	this->mutex->lock(this->mutex);
	sa = this->sas->get(this->sas, key(ike_sa));
	if (sa && sa->psk)
	{
		psk = sa->psk->get_ref(sa->psk);
	}
	this->mutex->unlock(this->mutex);
	return psk;
}

void countersign_cache_forget(countersign_cache_t *this, ike_sa_t *ike_sa, bool gone)
{
	entry_t *sa;

	this->mutex->lock(this->mutex);
	sa = this->sas->get(this->sas, key(ike_sa));
	if (sa)
	{
		answers_clear(sa);
		if (gone || !sa->psk)
		{
			this->sas->remove(this->sas, key(ike_sa));
			sa_destroy(sa, NULL);
		}
	}
	this->mutex->unlock(this->mutex);
}

void countersign_cache_destroy(countersign_cache_t *this)
{
	this->sas->destroy_function(this->sas, (void*)sa_destroy);
	this->mutex->destroy(this->mutex);
	free(this);
}
