/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Policy
 *
 * Who may own which name, and who may talk to whom. Without entries that grant
 * more, the owner of the bus may do everything, and everybody may talk to
 * connections of the same user.
 *
 * A database maps names to grants. The bus has one, which policy holders and
 * activators fill; each custom endpoint has one of its own, which restricts
 * those who come in through it: what they do must be granted by both. An entry
 * belongs to the connection or endpoint that brought it, and a name has at most
 * one. An entry "a.b.*" is for every name that extends "a.b" by one element and
 * has no entry itself.
 *
 * Checks look entries up under RCU and take no lock. As an owner's entries are
 * replaced in one step, a check that overlaps with that is made again.
 */
#ifndef KDBUS_POLICY_H
#define KDBUS_POLICY_H

#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/seqlock.h>
#include <linux/types.h>

#define KDBUS_POLICY_HASH_BITS	6

struct cred;
struct kdbus_command;
struct kdbus_conn;

/**
 * struct kdbus_policy_db - a database
 * @lock:	changes are made under it; reads are repeated if they overlap
 * @entries:	by name; read under RCU
 */
struct kdbus_policy_db {
	seqlock_t lock; /* see above */
	DECLARE_HASHTABLE(entries, KDBUS_POLICY_HASH_BITS);
};

void kdbus_policy_db_init(struct kdbus_policy_db *db);
void kdbus_policy_db_destroy(struct kdbus_policy_db *db);

int kdbus_policy_parse(const struct kdbus_command *command, unsigned int max_names,
		       struct list_head *entries);
void kdbus_policy_discard(struct list_head *entries);
int kdbus_policy_replace(struct kdbus_policy_db *db, struct list_head *owned,
			 struct list_head *entries);
void kdbus_policy_remove(struct kdbus_policy_db *db, struct list_head *owned);

bool kdbus_policy_may_own(const struct kdbus_conn *conn, const char *name);
bool kdbus_policy_may_talk(const struct kdbus_conn *conn, const struct cred *cred,
			   const struct kdbus_conn *peer);
bool kdbus_policy_may_see_name(const struct kdbus_conn *conn, const struct cred *cred,
			       const char *name);
bool kdbus_policy_may_see(const struct kdbus_conn *conn, const struct cred *cred,
			  const struct kdbus_conn *peer);

#endif /* KDBUS_POLICY_H */
