/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "countersign_kept.h"

#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct about_t about_t;
typedef struct of_sa_t of_sa_t;

struct countersign_kept_t {
	/* of_sa_t by the unique ID of the SA */
	hashtable_t *sas;
	/* nobody waits for anything while holding it */
	mutex_t *mutex;
};

/* an answer, and what it is about */
struct about_t {
	identification_t *id;
	certificate_t *cert;
	char *connection;
	countersign_answer_t answer;
};

struct of_sa_t {
	/* the first `count` of them, in a ring */
	about_t answers[MAX_ANSWERS];
	u_int count;
	u_int next;
	shared_key_t *psk;
};

countersign_kept_t *countersign_kept_create(void)
{
	countersign_kept_t *this;

	INIT(this,
		.sas = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	return this;
}

static void *key(ike_sa_t *ike_sa)
{
	return (void*)(uintptr_t)ike_sa->get_unique_id(ike_sa);
}

/* what is kept of the SA, or NULL when that would be too much */
static of_sa_t *of(countersign_kept_t *this, ike_sa_t *ike_sa)
{
	of_sa_t *sa = this->sas->get(this->sas, key(ike_sa));

	if (!sa && this->sas->get_count(this->sas) < MAX_SAS)
	{
		INIT(sa);
		this->sas->put(this->sas, key(ike_sa), sa);
	}
	return sa;
}

static void about_clear(about_t *this)
{
	DESTROY_IF(this->id);
	DESTROY_IF(this->cert);
	free(this->connection);
	memset(this, 0, sizeof(*this));
}

static void answers_clear(of_sa_t *this)
{
	u_int i;

	for (i = 0; i < this->count; i++)
	{
		about_clear(&this->answers[i]);
	}
	this->count = this->next = 0;
}

static void sa_destroy(of_sa_t *this, const void *key)
{
	answers_clear(this);
	DESTROY_IF(this->psk);
	free(this);
}

void countersign_keep(countersign_kept_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer)
{
	about_t *about;
	of_sa_t *sa;

	this->mutex->lock(this->mutex);
	sa = of(this, ike_sa);
	if (sa)
	{
		about = &sa->answers[sa->next++ % MAX_ANSWERS];
		sa->count = min(sa->count + 1, MAX_ANSWERS);
		about_clear(about);
		about->id = id->clone(id);
		about->cert = cert->get_ref(cert);
		about->connection = strdup(ike_sa->get_name(ike_sa));
		about->answer = *answer;
	}
	this->mutex->unlock(this->mutex);
}

/* equals() of identities takes other cases for the same, the authorizer may not */
static bool is_about(about_t *this, identification_t *id, certificate_t *cert, char *connection)
{
	return this->id->get_type(this->id) == id->get_type(id) &&
		   chunk_equals(this->id->get_encoding(this->id), id->get_encoding(id)) &&
		   this->cert->equals(this->cert, cert) && streq(this->connection, connection);
}

bool countersign_find(countersign_kept_t *this, ike_sa_t *ike_sa, identification_t *id,
					  certificate_t *cert, countersign_answer_t *answer)
{
	bool found = FALSE;
	about_t *about;
	of_sa_t *sa;
	u_int back;

	this->mutex->lock(this->mutex);
	sa = this->sas->get(this->sas, key(ike_sa));
	for (back = 1; sa && !found && back <= sa->count; back++)
	{
		about = &sa->answers[(sa->next - back) % MAX_ANSWERS];
		found = is_about(about, id, cert, ike_sa->get_name(ike_sa));
		if (found)
		{
			*answer = about->answer;
		}
	}
	this->mutex->unlock(this->mutex);
	return found;
}

void countersign_keep_psk(countersign_kept_t *this, ike_sa_t *ike_sa, shared_key_t *psk)
{
	of_sa_t *sa;

	this->mutex->lock(this->mutex);
	sa = of(this, ike_sa);
	if (sa)
	{
		DESTROY_IF(sa->psk);
		sa->psk = psk->get_ref(psk);
	}
	this->mutex->unlock(this->mutex);
}

shared_key_t *countersign_find_psk(countersign_kept_t *this, ike_sa_t *ike_sa)
{
	shared_key_t *psk = NULL;
	of_sa_t *sa;

	this->mutex->lock(this->mutex);
	sa = this->sas->get(this->sas, key(ike_sa));
	if (sa && sa->psk)
	{
		psk = sa->psk->get_ref(sa->psk);
	}
	this->mutex->unlock(this->mutex);
	return psk;
}

void countersign_forget(countersign_kept_t *this, ike_sa_t *ike_sa, bool gone)
{
	of_sa_t *sa;

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

void countersign_kept_destroy(countersign_kept_t *this)
{
	this->sas->destroy_function(this->sas, (void*)sa_destroy);
	this->mutex->destroy(this->mutex);
	free(this);
}
