/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Matches
 *
 * A match says which signals and notifications a connection wants; all its
 * rules must pass, and one match that passes suffices. To find who wants a
 * broadcast, its cost must follow from who does, not from who is there. So a
 * bus files each match once, under the one of its rules that excludes most:
 *
 *   - a Bloom mask under one of its bits, the one with the fewest matches
 *     filed so far: a signal looks only where its filter has bits set;
 *   - a sender, by id or name, under its hash: a signal looks only at what is
 *     filed under its own sender's id and names;
 *   - notifications under their kind and, if given, the name or id;
 *   - what has no such rule in a list that every event looks at.
 *
 * Where many masks are filed, that still leaves many to compare. But programs
 * emit the same signals again and again: for filters seen lately, the bus
 * remembers which matches their masks let through. A memo counts as long as no
 * mask was added or removed since.
 *
 * Senders walk the index under RCU. Changes take the index's spinlock.
 */
#ifndef KDBUS_MATCH_H
#define KDBUS_MATCH_H

#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <linux/kdbus.h>

struct file;
struct kdbus_bus;
struct kdbus_conn;

#define KDBUS_MATCH_HASH_BITS	8
#define KDBUS_MATCH_MEMO_BITS	7

struct kdbus_match_memo;

/**
 * struct kdbus_match_bucket - matches filed under one criterion
 * @list:	the matches; changed under the index lock, read under RCU
 * @count:	how many these are; index lock
 */
struct kdbus_match_bucket {
	struct hlist_head list;
	unsigned int count;
};

/**
 * struct kdbus_match_index - who wants what on a bus
 * @lock:	protects changes
 * @bits:	by bit of a Bloom mask
 * @n_bits:	bits of a Bloom mask
 * @masks:	how many matches are filed in @bits
 * @version:	changes whenever these do
 * @memos:	for filters seen lately, by hash; read under RCU
 * @hashed:	by hash of a sender, or of kind and subject of a notification
 * @any:	matches without rules
 * @signals:	matches for signals that fit nowhere better
 */
struct kdbus_match_index {
	spinlock_t lock; /* see above */
	struct kdbus_match_bucket *bits;
	size_t n_bits;
	unsigned int masks;
	u64 version;
	struct kdbus_match_memo __rcu *memos[1 << KDBUS_MATCH_MEMO_BITS];
	struct kdbus_match_bucket hashed[1 << KDBUS_MATCH_HASH_BITS];
	struct kdbus_match_bucket any;
	struct kdbus_match_bucket signals;
};

/**
 * struct kdbus_match_event - what matches are asked about
 * @src:	the sender of a signal; NULL for a notification
 * @dst_id:	a signal's destination, as sent
 * @filter:	a signal's Bloom filter
 * @item:	a notification's item, KDBUS_ITEM_NAME_* or KDBUS_ITEM_ID_*
 */
struct kdbus_match_event {
	struct kdbus_conn *src;
	u64 dst_id;
	const struct kdbus_bloom_filter *filter;
	const struct kdbus_item *item;
};

/* How many receivers of a broadcast are kept without allocation. */
#define KDBUS_RECEIVERS_INLINE	16

/**
 * struct kdbus_receivers - connections that get an event
 * @conns:	the connections, referenced
 * @count:	how many these are
 * @cap:	room for how many there is
 * @inline_conns: storage for a few
 */
struct kdbus_receivers {
	struct kdbus_conn **conns;
	size_t count;
	size_t cap;
	struct kdbus_conn *inline_conns[KDBUS_RECEIVERS_INLINE];
};

int kdbus_match_index_init(struct kdbus_match_index *index, size_t bloom_size);
void kdbus_match_index_destroy(struct kdbus_match_index *index);

void kdbus_match_collect(struct kdbus_bus *bus, const struct kdbus_match_event *event,
			 struct kdbus_receivers *receivers);
void kdbus_receivers_init(struct kdbus_receivers *receivers);
void kdbus_receivers_add(struct kdbus_receivers *receivers, struct kdbus_conn *conn);
bool kdbus_receivers_grow(struct kdbus_receivers *receivers, size_t found);
void kdbus_receivers_release(struct kdbus_receivers *receivers);
bool kdbus_match_wants(struct kdbus_conn *conn, const struct kdbus_match_event *event);
void kdbus_match_remove_all(struct kdbus_conn *conn);

int kdbus_cmd_match_add(struct kdbus_conn *conn, struct file *file, void __user *argp);
int kdbus_cmd_match_remove(struct kdbus_conn *conn, struct file *file, void __user *argp);

#endif /* KDBUS_MATCH_H */
