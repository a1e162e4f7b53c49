// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/jhash.h>
#include <linux/overflow.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "bus.h"
#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "name.h"
#include "policy.h"

/* What no applying grant gives: less than KDBUS_POLICY_SEE. */
#define KDBUS_POLICY_NOTHING	(-1)

/**
 * struct kdbus_policy_grant - an access for somebody
 * @type:	KDBUS_POLICY_ACCESS_*
 * @access:	KDBUS_POLICY_*
 * @uid:	for whom, with KDBUS_POLICY_ACCESS_USER
 * @gid:	for whom, with KDBUS_POLICY_ACCESS_GROUP
 */
struct kdbus_policy_grant {
	u32 type;
	s32 access;
	union {
		kuid_t uid;
		kgid_t gid;
	};
};

/**
 * struct kdbus_policy_entry - what is granted on a name
 * @rcu:	frees the memory
 * @node:	in the database
 * @owned:	in the owner's list
 * @name:	the name; a wildcard ends with the dot before its "*"
 * @len:	length of @name
 * @n_grants:	how many there are
 * @grants:	what it grants
 *
 * Entries do not change while they are in a database.
 */
struct kdbus_policy_entry {
	struct rcu_head rcu;
	struct hlist_node node;
	struct list_head owned;
	char name[KDBUS_NAME_MAX_LEN + 1];
	size_t len;
	size_t n_grants;
	struct kdbus_policy_grant grants[];
};

void kdbus_policy_db_init(struct kdbus_policy_db *db)
{
	seqlock_init(&db->lock);
	hash_init(db->entries);
}

/**
 * kdbus_policy_db_destroy() - end an empty database
 * @db:		the database
 */
void kdbus_policy_db_destroy(struct kdbus_policy_db *db)
{
	WARN_ON(!hash_empty(db->entries));
}

/* ---- supplying entries ---- */

static int kdbus_policy_read_grant(struct kdbus_policy_grant *grant,
				   const struct kdbus_policy_access *access)
{
	if (access->access > KDBUS_POLICY_OWN)
		return -EINVAL;
	*grant = (struct kdbus_policy_grant){ .type = access->type, .access = access->access };

	switch (access->type) {
	case KDBUS_POLICY_ACCESS_USER:
		grant->uid = make_kuid(current_user_ns(), access->id);
		return uid_valid(grant->uid) ? 0 : -EINVAL;
	case KDBUS_POLICY_ACCESS_GROUP:
		grant->gid = make_kgid(current_user_ns(), access->id);
		return gid_valid(grant->gid) ? 0 : -EINVAL;
	case KDBUS_POLICY_ACCESS_WORLD:
		return 0;
	default:
		return -EINVAL;
	}
}

static const struct kdbus_item *kdbus_policy_next_item(const struct kdbus_item *item)
{
	return (const void *)item + ALIGN(item->size, 8);
}

/* How many grants follow a name, up to the next one or @end. */
static size_t kdbus_policy_count_grants(const struct kdbus_item *item, const void *end)
{
	size_t n = 0;

	for (item = kdbus_policy_next_item(item); (const void *)item < end;
	     item = kdbus_policy_next_item(item)) {
		if (item->type == KDBUS_ITEM_NAME)
			break;
		n += item->type == KDBUS_ITEM_POLICY_ACCESS;
	}
	return n;
}

static struct kdbus_policy_entry *kdbus_policy_new_entry(const struct kdbus_item *item,
							 const void *end)
{
	size_t n = kdbus_policy_count_grants(item, end);
	struct kdbus_policy_entry *entry;

	if (!kdbus_name_is_valid(item->str, true))
		return ERR_PTR(-EINVAL);
	entry = kzalloc(struct_size(entry, grants, n), GFP_KERNEL_ACCOUNT);
	if (!entry)
		return ERR_PTR(-ENOMEM);

	entry->len = strlen(item->str);
	if (item->str[entry->len - 1] == '*')
		entry->len--;
	memcpy(entry->name, item->str, entry->len);
	kdbus_object_inc(KDBUS_OBJECT_POLICY);
	return entry;
}

/**
 * kdbus_policy_parse() - read entries from a command
 * @command:	a command with KDBUS_ITEM_NAME and KDBUS_ITEM_POLICY_ACCESS
 * @max_names:	how many entries there may be
 * @entries:	an empty list, to which they are added; to be put into a database
 *		or discarded, on failure too
 *
 * Return: 0, -EINVAL, -E2BIG for too many entries, or -ENOMEM.
 */
int kdbus_policy_parse(const struct kdbus_command *command, unsigned int max_names,
		       struct list_head *entries)
{
	const void *end = command->data + command->size;
	struct kdbus_policy_entry *entry = NULL;
	const struct kdbus_item *item;
	unsigned int names = 0;
	int ret;

	kdbus_command_for_each_item(item, command) {
		if (item->type == KDBUS_ITEM_NAME) {
			if (++names > max_names)
				return -E2BIG;
			entry = kdbus_policy_new_entry(item, end);
			if (IS_ERR(entry))
				return PTR_ERR(entry);
			list_add_tail(&entry->owned, entries);
		} else if (item->type == KDBUS_ITEM_POLICY_ACCESS) {
			if (!entry)
				return -EINVAL;
			ret = kdbus_policy_read_grant(&entry->grants[entry->n_grants],
						      &item->policy_access);
			if (ret < 0)
				return ret;
			entry->n_grants++;
		}
	}
	return 0;
}

/**
 * kdbus_policy_discard() - free entries that are in no database
 * @entries:	the entries
 */
void kdbus_policy_discard(struct list_head *entries)
{
	struct kdbus_policy_entry *entry, *next;

	list_for_each_entry_safe(entry, next, entries, owned) {
		list_del(&entry->owned);
		kfree_rcu(entry, rcu);
		kdbus_object_dec(KDBUS_OBJECT_POLICY);
	}
}

static u32 kdbus_policy_hash(const char *name, size_t len)
{
	return jhash(name, len, 0);
}

static struct kdbus_policy_entry *kdbus_policy_find(const struct kdbus_policy_db *db,
						    const char *name, size_t len)
{
	struct kdbus_policy_entry *entry;

	hash_for_each_possible_rcu(db->entries, entry, node, kdbus_policy_hash(name, len),
				   lockdep_is_held(&db->lock.lock))
		if (entry->len == len && !memcmp(entry->name, name, len))
			return entry;
	return NULL;
}

static void kdbus_policy_unlink(struct list_head *owned)
{
	struct kdbus_policy_entry *entry;

	list_for_each_entry(entry, owned, owned)
		hash_del_rcu(&entry->node);
}

static bool kdbus_policy_link(struct kdbus_policy_db *db, struct list_head *entries)
{
	struct kdbus_policy_entry *entry;

	list_for_each_entry(entry, entries, owned) {
		if (kdbus_policy_find(db, entry->name, entry->len)) {
			/* take back what came before it */
			list_for_each_entry_continue_reverse(entry, entries, owned)
				hash_del_rcu(&entry->node);
			return false;
		}
		hash_add_rcu(db->entries, &entry->node,
			     kdbus_policy_hash(entry->name, entry->len));
	}
	return true;
}

/**
 * kdbus_policy_replace() - exchange all entries of an owner
 * @db:		the database
 * @owned:	its entries; the new ones on success
 * @entries:	the new ones; empty on success
 *
 * To be called under the bus lock, which protects @owned.
 *
 * Return: 0, or -EEXIST if a name is in there twice or has an entry of somebody
 * else; then nothing has changed.
 */
int kdbus_policy_replace(struct kdbus_policy_db *db, struct list_head *owned,
			 struct list_head *entries)
{
	LIST_HEAD(old);
	bool linked;

	write_seqlock(&db->lock);
	kdbus_policy_unlink(owned);
	linked = kdbus_policy_link(db, entries);
	if (!linked)
		kdbus_policy_link(db, owned);
	write_sequnlock(&db->lock);
	if (!linked)
		return -EEXIST;

	list_splice_init(owned, &old);
	list_splice_init(entries, owned);
	kdbus_policy_discard(&old);
	return 0;
}

/**
 * kdbus_policy_remove() - remove all entries of an owner
 * @db:		the database
 * @owned:	the entries
 */
void kdbus_policy_remove(struct kdbus_policy_db *db, struct list_head *owned)
{
	if (list_empty(owned))
		return;

	write_seqlock(&db->lock);
	kdbus_policy_unlink(owned);
	write_sequnlock(&db->lock);
	kdbus_policy_discard(owned);
}

/* ---- decisions ---- */

static bool kdbus_policy_applies(const struct kdbus_policy_grant *grant, const struct cred *cred)
{
	const struct group_info *groups = cred->group_info;
	int i;

	switch (grant->type) {
	case KDBUS_POLICY_ACCESS_USER:
		return uid_eq(grant->uid, cred->euid);
	case KDBUS_POLICY_ACCESS_GROUP:
		if (gid_eq(grant->gid, cred->egid))
			return true;
		for (i = 0; i < groups->ngroups; i++)
			if (gid_eq(grant->gid, groups->gid[i]))
				return true;
		return false;
	default:
		return true;
	}
}

/* The highest access to a name. To be called under RCU. */
static int kdbus_policy_access(const struct kdbus_policy_db *db, const struct cred *cred,
			       const char *name)
{
	const struct kdbus_policy_entry *entry;
	int access = KDBUS_POLICY_NOTHING;
	size_t len = strlen(name), i;

	entry = kdbus_policy_find(db, name, len);
	if (!entry) {
		/* up to the last dot; every name has one */
		while (len > 0 && name[len - 1] != '.')
			len--;
		entry = kdbus_policy_find(db, name, len);
	}
	if (!entry)
		return access;

	for (i = 0; i < entry->n_grants; i++)
		if (entry->grants[i].access > access &&
		    kdbus_policy_applies(&entry->grants[i], cred))
			access = entry->grants[i].access;
	return access;
}

static bool kdbus_policy_grants(struct kdbus_policy_db *db, const struct cred *cred,
				const char *name, int access)
{
	unsigned int seq;
	bool granted;

	rcu_read_lock();
	do {
		seq = read_seqbegin(&db->lock);
		granted = kdbus_policy_access(db, cred, name) >= access;
	} while (read_seqretry(&db->lock, seq));
	rcu_read_unlock();
	return granted;
}

/* Is the access granted on any of the names a connection owns? */
static bool kdbus_policy_grants_any(struct kdbus_policy_db *db, const struct cred *cred,
				    const struct kdbus_conn *peer, int access)
{
	const struct kdbus_name_owner *owner;
	unsigned int seq;
	bool granted;

	rcu_read_lock();
	do {
		seq = read_seqbegin(&db->lock);
		granted = false;
		list_for_each_entry_rcu(owner, &peer->names, conn_entry) {
			granted = READ_ONCE(owner->flags) & KDBUS_NAME_PRIMARY &&
				  kdbus_policy_access(db, cred, owner->name->name) >= access;
			if (granted)
				break;
		}
	} while (read_seqretry(&db->lock, seq));
	rcu_read_unlock();
	return granted;
}

/**
 * kdbus_policy_may_own() - may a connection own a name?
 * @conn:	the connection; the running process's credentials count
 * @name:	the name
 *
 * Return: whether it may.
 */
bool kdbus_policy_may_own(const struct kdbus_conn *conn, const char *name)
{
	struct kdbus_ep *ep = conn->ep;

	if (ep->policy && !kdbus_policy_grants(ep->policy, current_cred(), name, KDBUS_POLICY_OWN))
		return false;
	return conn->owner ||
	       kdbus_policy_grants(&ep->bus->policy, current_cred(), name, KDBUS_POLICY_OWN);
}

/**
 * kdbus_policy_may_talk() - may a connection talk to another?
 * @conn:	the connection
 * @cred:	whose credentials count for @conn
 * @peer:	the other
 *
 * Return: whether it may.
 */
bool kdbus_policy_may_talk(const struct kdbus_conn *conn, const struct cred *cred,
			   const struct kdbus_conn *peer)
{
	struct kdbus_ep *ep = conn->ep;

	if (ep->policy && !kdbus_policy_grants_any(ep->policy, cred, peer, KDBUS_POLICY_TALK))
		return false;
	return conn->owner || uid_eq(cred->euid, peer->cred->uid) ||
	       kdbus_policy_grants_any(&ep->bus->policy, cred, peer, KDBUS_POLICY_TALK);
}

/**
 * kdbus_policy_may_see_name() - may a connection know of a name?
 * @conn:	the connection
 * @cred:	whose credentials count for it
 * @name:	the name
 *
 * Return: whether it may.
 */
bool kdbus_policy_may_see_name(const struct kdbus_conn *conn, const struct cred *cred,
			       const char *name)
{
	struct kdbus_policy_db *db = conn->ep->policy;

	return !db || kdbus_policy_grants(db, cred, name, KDBUS_POLICY_SEE);
}

/**
 * kdbus_policy_may_see() - may a connection look another up by id?
 * @conn:	the connection
 * @cred:	whose credentials count for it
 * @peer:	the other
 *
 * Return: whether it may.
 */
bool kdbus_policy_may_see(const struct kdbus_conn *conn, const struct cred *cred,
			  const struct kdbus_conn *peer)
{
	struct kdbus_policy_db *db = conn->ep->policy;

	return !db || kdbus_policy_grants_any(db, cred, peer, KDBUS_POLICY_SEE);
}
