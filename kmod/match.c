// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "bus.h"
#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "match.h"
#include "name.h"

/**
 * struct kdbus_match - a match
 * @rcu:	frees the memory
 * @conn:	whose it is; outlives the match
 * @cookie:	label
 * @conn_entry:	in the connection's list; changed under its match lock
 * @bucket_entry: in the bucket; changed under the index lock
 * @bucket:	where it is filed; NULL if no broadcast can pass it
 * @fold:	bits that all its masks require, words folded into one
 * @size:	bytes of @rules
 * @rules:	the rules, as items
 */
struct kdbus_match {
	struct rcu_head rcu;
	struct kdbus_conn *conn;
	u64 cookie;
	struct list_head conn_entry;
	struct hlist_node bucket_entry;
	struct kdbus_match_bucket *bucket;
	u64 fold;
	size_t size;
	u8 rules[] __aligned(8);
};

/* From how many masks on filters are remembered. */
#define KDBUS_MATCH_MEMO_MASKS	64
/* How many matches a memo may list. With more of them, finding them costs least. */
#define KDBUS_MATCH_MEMO_MAX	32

/**
 * struct kdbus_match_memo - which of the masks that are filed let a filter through
 * @rcu:	frees the memory
 * @version:	of the index at the time
 * @generation:	of the filter
 * @count:	matches in @matches
 * @matches:	the matches; valid while @version is the index's
 * @data:	the filter
 */
struct kdbus_match_memo {
	struct rcu_head rcu;
	u64 version;
	u64 generation;
	unsigned int count;
	struct kdbus_match *matches[KDBUS_MATCH_MEMO_MAX];
	u64 data[];
};

enum {
	KDBUS_MATCH_ITEM_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_match_items[] = {
	[KDBUS_MATCH_ITEM_NEGOTIATE] = { KDBUS_ITEM_NEGOTIATE },
	{ KDBUS_ITEM_BLOOM_MASK, .multiple = true },
	{ KDBUS_ITEM_NAME, .multiple = true },
	{ KDBUS_ITEM_ID, .multiple = true },
	{ KDBUS_ITEM_DST_ID, .multiple = true },
	{ KDBUS_ITEM_NAME_ADD, .multiple = true },
	{ KDBUS_ITEM_NAME_REMOVE, .multiple = true },
	{ KDBUS_ITEM_NAME_CHANGE, .multiple = true },
	{ KDBUS_ITEM_ID_ADD, .multiple = true },
	{ KDBUS_ITEM_ID_REMOVE, .multiple = true },
};

static const struct kdbus_command_spec kdbus_match_add_spec = {
	.fixed		= sizeof(struct kdbus_cmd_match),
	.flags		= KDBUS_MATCH_REPLACE,
	.items		= kdbus_match_items,
	.n_items	= ARRAY_SIZE(kdbus_match_items),
};

static const struct kdbus_command_spec kdbus_match_remove_spec = {
	.fixed		= sizeof(struct kdbus_cmd_match),
	.items		= kdbus_match_items,
	.n_items	= KDBUS_MATCH_ITEM_NEGOTIATE + 1,
};

#define kdbus_match_for_each_rule(_rule, _match)					\
	for ((_rule) = (const struct kdbus_item *)(_match)->rules;			\
	     (const u8 *)(_rule) < (_match)->rules + (_match)->size;			\
	     (_rule) = (const void *)(_rule) + ALIGN((_rule)->size, 8))

/* ---- evaluation ---- */

static bool kdbus_bloom_passes(const struct kdbus_bus *bus, const struct kdbus_item *rule,
			       const struct kdbus_bloom_filter *filter)
{
	size_t words = bus->bloom.size / sizeof(u64);
	u64 last = kdbus_item_payload(rule) / bus->bloom.size - 1;
	const u64 *mask = rule->data64 + min(filter->generation, last) * words;
	size_t i;

	for (i = 0; i < words; i++)
		if (mask[i] & ~filter->data[i])
			return false;
	return true;
}

static bool kdbus_id_passes(u64 rule, u64 id)
{
	return rule == KDBUS_MATCH_ID_ANY || rule == id;
}

static const char *kdbus_name_change_name(const struct kdbus_item *item)
{
	if (kdbus_item_payload(item) <= sizeof(struct kdbus_notify_name_change))
		return NULL;
	return item->name_change.name;
}

static bool kdbus_notification_passes(const struct kdbus_item *rule, const struct kdbus_item *item)
{
	const char *name;

	if (rule->type != item->type)
		return false;

	switch (rule->type) {
	case KDBUS_ITEM_ID_ADD:
	case KDBUS_ITEM_ID_REMOVE:
		return kdbus_id_passes(rule->id_change.id, item->id_change.id);
	case KDBUS_ITEM_NAME_ADD:
	case KDBUS_ITEM_NAME_REMOVE:
	case KDBUS_ITEM_NAME_CHANGE:
		name = kdbus_name_change_name(rule);
		return kdbus_id_passes(rule->name_change.old_id.id, item->name_change.old_id.id) &&
		       kdbus_id_passes(rule->name_change.new_id.id, item->name_change.new_id.id) &&
		       (!name || !strcmp(name, kdbus_name_change_name(item)));
	default:
		return false;
	}
}

static bool kdbus_rule_passes(const struct kdbus_bus *bus, const struct kdbus_item *rule,
			      const struct kdbus_match_event *event)
{
	if (!event->src)
		return kdbus_notification_passes(rule, event->item);

	switch (rule->type) {
	case KDBUS_ITEM_BLOOM_MASK:
		return kdbus_bloom_passes(bus, rule, event->filter);
	case KDBUS_ITEM_ID:
		return kdbus_id_passes(rule->id, event->src->id);
	case KDBUS_ITEM_DST_ID:
		return kdbus_id_passes(rule->id, event->dst_id);
	case KDBUS_ITEM_NAME:
		return kdbus_name_is_owner((struct kdbus_bus *)bus, rule->str, event->src);
	default:
		return false;
	}
}

static bool kdbus_match_passes(const struct kdbus_match *match,
			       const struct kdbus_match_event *event)
{
	const struct kdbus_bus *bus = match->conn->ep->bus;
	const struct kdbus_item *rule;

	kdbus_match_for_each_rule(rule, match)
		if (!kdbus_rule_passes(bus, rule, event))
			return false;
	return true;
}

/**
 * kdbus_match_wants() - does a connection want an event?
 * @conn:	the connection
 * @event:	the event
 *
 * Return: whether one of its matches passes.
 */
bool kdbus_match_wants(struct kdbus_conn *conn, const struct kdbus_match_event *event)
{
	struct kdbus_match *match;
	bool wants = false;

	rcu_read_lock();
	list_for_each_entry_rcu(match, &conn->matches, conn_entry) {
		wants = kdbus_match_passes(match, event);
		if (wants)
			break;
	}
	rcu_read_unlock();
	return wants;
}

/* ---- the index ---- */

static u32 kdbus_match_hash_id(u64 type, u64 id)
{
	return jhash_2words((u32)id, (u32)(id >> 32), type);
}

static u32 kdbus_match_hash_name(u64 type, const char *name)
{
	return jhash(name, strlen(name), type);
}

static struct kdbus_match_bucket *kdbus_match_hashed(struct kdbus_match_index *index, u32 hash)
{
	return &index->hashed[hash_32(hash, KDBUS_MATCH_HASH_BITS)];
}

/*
 * Where notifications of a type are filed: by the most specific of name, new
 * owner and old owner; type alone if none is given.
 */
static struct kdbus_match_bucket *kdbus_match_bucket_notification(struct kdbus_match_index *index,
								  const struct kdbus_item *rule)
{
	const struct kdbus_notify_name_change *change = &rule->name_change;
	u32 hash = kdbus_match_hash_id(rule->type, KDBUS_MATCH_ID_ANY);

	switch (rule->type) {
	case KDBUS_ITEM_ID_ADD:
	case KDBUS_ITEM_ID_REMOVE:
		hash = kdbus_match_hash_id(rule->type, rule->id_change.id);
		break;
	default:
		if (kdbus_name_change_name(rule))
			hash = kdbus_match_hash_name(rule->type, kdbus_name_change_name(rule));
		else if (change->new_id.id != KDBUS_MATCH_ID_ANY)
			hash = kdbus_match_hash_id(rule->type, change->new_id.id);
		else if (change->old_id.id != KDBUS_MATCH_ID_ANY)
			hash = kdbus_match_hash_id(rule->type, change->old_id.id);
		break;
	}
	return kdbus_match_hashed(index, hash);
}

/*
 * A word of what a mask requires. With several generations any of them may be
 * the one that counts, so only bits all have in common will do.
 */
static u64 kdbus_mask_word(const struct kdbus_bus *bus, const struct kdbus_item *rule, size_t i)
{
	size_t words = bus->bloom.size / sizeof(u64);
	size_t blocks = kdbus_item_payload(rule) / bus->bloom.size, k;
	u64 word = rule->data64[i];

	for (k = 1; k < blocks; k++)
		word &= rule->data64[k * words + i];
	return word;
}

/* The least used bucket among the bits of a mask. */
static struct kdbus_match_bucket *kdbus_match_bucket_mask(struct kdbus_match_index *index,
							  const struct kdbus_bus *bus,
							  const struct kdbus_item *rule)
{
	struct kdbus_match_bucket *best = NULL, *bucket;
	size_t i;
	u64 word;

	for (i = 0; i < bus->bloom.size / sizeof(u64); i++) {
		for (word = kdbus_mask_word(bus, rule, i); word; word &= word - 1) {
			bucket = &index->bits[i * 64 + __ffs64(word)];
			if (!best || bucket->count < best->count)
				best = bucket;
		}
	}
	return best;
}

/*
 * Where to file a match: under that of its rules with the least company. NULL
 * if no broadcast can ever pass it.
 */
static struct kdbus_match_bucket *kdbus_match_choose(struct kdbus_match_index *index,
						     const struct kdbus_bus *bus,
						     const struct kdbus_match *match)
{
	struct kdbus_match_bucket *best = &index->any, *bucket;
	const struct kdbus_item *rule;
	u32 hash;

	lockdep_assert_held(&index->lock);

	kdbus_match_for_each_rule(rule, match) {
		switch (rule->type) {
		case KDBUS_ITEM_BLOOM_MASK:
			bucket = kdbus_match_bucket_mask(index, bus, rule);
			break;
		case KDBUS_ITEM_ID:
			bucket = NULL;
			hash = kdbus_match_hash_id(rule->type, rule->id);
			if (rule->id != KDBUS_MATCH_ID_ANY)
				bucket = kdbus_match_hashed(index, hash);
			break;
		case KDBUS_ITEM_NAME:
			hash = kdbus_match_hash_name(rule->type, rule->str);
			bucket = kdbus_match_hashed(index, hash);
			break;
		case KDBUS_ITEM_DST_ID:
			/* a broadcast's destination is ~0, which is "any" */
			if (rule->id != KDBUS_DST_ID_BROADCAST)
				return NULL;
			bucket = NULL;
			break;
		default:
			return kdbus_match_bucket_notification(index, rule);
		}

		if (!bucket)
			bucket = &index->signals;
		if (best == &index->any || best == &index->signals ||
		    (bucket != &index->signals && bucket->count < best->count))
			best = bucket;
	}
	return best;
}

/* Count a mask that is filed or taken out. What is remembered of filters is void then. */
static void kdbus_match_index_changed(struct kdbus_match_index *index,
				      const struct kdbus_match_bucket *bucket, int change)
{
	lockdep_assert_held(&index->lock);

	if (bucket < index->bits || bucket >= index->bits + index->n_bits)
		return;
	WRITE_ONCE(index->masks, index->masks + change);
	/* pairs with the load in kdbus_match_walk_masks() */
	smp_store_release(&index->version, index->version + 1);
}

static void kdbus_match_file(struct kdbus_bus *bus, struct kdbus_match *match)
{
	struct kdbus_match_index *index = &bus->matches;

	spin_lock(&index->lock);
	match->bucket = kdbus_match_choose(index, bus, match);
	if (match->bucket) {
		hlist_add_head_rcu(&match->bucket_entry, &match->bucket->list);
		match->bucket->count++;
		kdbus_match_index_changed(index, match->bucket, 1);
	}
	spin_unlock(&index->lock);
}

static void kdbus_match_unfile(struct kdbus_bus *bus, struct kdbus_match *match)
{
	if (!match->bucket)
		return;

	spin_lock(&bus->matches.lock);
	hlist_del_rcu(&match->bucket_entry);
	match->bucket->count--;
	kdbus_match_index_changed(&bus->matches, match->bucket, -1);
	spin_unlock(&bus->matches.lock);
}

int kdbus_match_index_init(struct kdbus_match_index *index, size_t bloom_size)
{
	index->n_bits = bloom_size * 8;
	index->bits = kvcalloc(index->n_bits, sizeof(*index->bits), GFP_KERNEL_ACCOUNT);
	if (!index->bits)
		return -ENOMEM;
	spin_lock_init(&index->lock);
	return 0;
}

void kdbus_match_index_destroy(struct kdbus_match_index *index)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(index->memos); i++)
		kfree(rcu_dereference_protected(index->memos[i], true));
	kvfree(index->bits);
}

/* ---- receivers ---- */

/**
 * kdbus_receivers_init() - start an empty set of receivers
 * @receivers:	the set
 */
void kdbus_receivers_init(struct kdbus_receivers *receivers)
{
	receivers->conns = receivers->inline_conns;
	receivers->count = 0;
	receivers->cap = KDBUS_RECEIVERS_INLINE;
}

/**
 * kdbus_receivers_add() - add a receiver, if there is room
 * @receivers:	the set
 * @conn:	the receiver, found under RCU; one that is being freed is left out
 */
void kdbus_receivers_add(struct kdbus_receivers *receivers, struct kdbus_conn *conn)
{
	if (receivers->count < receivers->cap && kref_get_unless_zero(&conn->kref))
		receivers->conns[receivers->count++] = conn;
}

/**
 * kdbus_receivers_grow() - make room if there was too little
 * @receivers:	the set; emptied if it grows
 * @found:	how many were to be added
 *
 * Does not fail: that would lose an event for all of them, uncounted.
 *
 * Return: whether they are to be collected once again.
 */
bool kdbus_receivers_grow(struct kdbus_receivers *receivers, size_t found)
{
	if (found <= receivers->cap)
		return false;

	kdbus_receivers_release(receivers);
	/* with room for some newcomers */
	receivers->cap = found + found / 4;
	receivers->conns = kvmalloc_array(receivers->cap, sizeof(*receivers->conns),
					  GFP_KERNEL | __GFP_NOFAIL);
	return true;
}

/**
 * kdbus_receivers_release() - drop a set of receivers
 * @receivers:	the set
 */
void kdbus_receivers_release(struct kdbus_receivers *receivers)
{
	size_t i;

	for (i = 0; i < receivers->count; i++)
		kdbus_conn_put(receivers->conns[i]);
	if (receivers->conns != receivers->inline_conns)
		kvfree(receivers->conns);
	kdbus_receivers_init(receivers);
}

/* ---- the search ---- */

/**
 * struct kdbus_match_walk - a search through the index
 * @bus:	the bus
 * @event:	what for
 * @receivers:	what was found
 * @found:	how many there would be with enough room, repeats included
 * @fold:	bits of a filter, words folded into one
 * @memo:	filled in with the masks that let a filter through, or NULL
 */
struct kdbus_match_walk {
	struct kdbus_bus *bus;
	const struct kdbus_match_event *event;
	struct kdbus_receivers *receivers;
	size_t found;
	u64 fold;
	struct kdbus_match_memo *memo;
};

static void kdbus_match_walk_match(struct kdbus_match_walk *walk, struct kdbus_match *match)
{
	struct kdbus_receivers *receivers = walk->receivers;

	/* cheap dedup of one connection's neighbouring matches */
	if (receivers->count > 0 && receivers->conns[receivers->count - 1] == match->conn)
		return;
	if (!kdbus_match_passes(match, walk->event))
		return;

	walk->found++;
	kdbus_receivers_add(receivers, match->conn);
}

static void kdbus_match_walk_bucket(struct kdbus_match_walk *walk,
				    const struct kdbus_match_bucket *bucket)
{
	struct kdbus_match *match;

	rcu_read_lock();
	hlist_for_each_entry_rcu(match, &bucket->list, bucket_entry)
		kdbus_match_walk_match(walk, match);
	rcu_read_unlock();
	/* there may be many buckets, with many matches */
	cond_resched();
}

static bool kdbus_match_masks_pass(const struct kdbus_bus *bus, const struct kdbus_match *match,
				   const struct kdbus_bloom_filter *filter)
{
	const struct kdbus_item *rule;

	kdbus_match_for_each_rule(rule, match)
		if (rule->type == KDBUS_ITEM_BLOOM_MASK && !kdbus_bloom_passes(bus, rule, filter))
			return false;
	return true;
}

/* Look at what is filed under a bit of a filter, for the receivers or for the memo. */
static void kdbus_match_walk_bit(struct kdbus_match_walk *walk,
				 const struct kdbus_match_bucket *bucket)
{
	const struct kdbus_bloom_filter *filter = walk->event->filter;
	struct kdbus_match_memo *memo = walk->memo;
	struct kdbus_match *match;

	rcu_read_lock();
	hlist_for_each_entry_rcu(match, &bucket->list, bucket_entry) {
		/* most are excluded at a glance */
		if (match->fold & ~walk->fold)
			continue;
		if (!kdbus_match_masks_pass(walk->bus, match, filter))
			continue;
		if (memo && memo->count < KDBUS_MATCH_MEMO_MAX)
			memo->matches[memo->count] = match;
		if (memo)
			memo->count++;
		kdbus_match_walk_match(walk, match);
	}
	rcu_read_unlock();
	cond_resched();
}

static struct kdbus_match_memo __rcu **
kdbus_match_memo_slot(struct kdbus_bus *bus, const struct kdbus_bloom_filter *filter)
{
	u32 hash = jhash2((const u32 *)filter->data, bus->bloom.size / sizeof(u32),
			  filter->generation);

	return &bus->matches.memos[hash_32(hash, KDBUS_MATCH_MEMO_BITS)];
}

/* Take the receivers from what is remembered of a filter, if it is. */
static bool kdbus_match_recall(struct kdbus_match_walk *walk, struct kdbus_match_memo __rcu **slot)
{
	const struct kdbus_bloom_filter *filter = walk->event->filter;
	struct kdbus_bus *bus = walk->bus;
	struct kdbus_match_memo *memo;
	bool valid;
	unsigned int i;

	rcu_read_lock();
	memo = rcu_dereference(*slot);
	/* what it lists is freed a grace period after the version has changed */
	valid = memo && memo->version == READ_ONCE(bus->matches.version) &&
		memo->generation == filter->generation &&
		!memcmp(memo->data, filter->data, bus->bloom.size);
	for (i = 0; valid && i < memo->count; i++)
		kdbus_match_walk_match(walk, memo->matches[i]);
	rcu_read_unlock();
	return valid;
}

/* Something to remember a filter by; not worth an effort. */
static struct kdbus_match_memo *kdbus_match_memo_new(const struct kdbus_bus *bus,
						     const struct kdbus_bloom_filter *filter)
{
	struct kdbus_match_memo *memo;

	memo = kmalloc(struct_size(memo, data, bus->bloom.size / sizeof(u64)),
		       GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
	if (!memo)
		return NULL;

	memo->generation = filter->generation;
	memo->count = 0;
	memcpy(memo->data, filter->data, bus->bloom.size);
	return memo;
}

/* Keep a memo, unless it is too long or the index has changed. */
static void kdbus_match_remember(struct kdbus_match_index *index,
				 struct kdbus_match_memo __rcu **slot,
				 struct kdbus_match_memo *memo)
{
	struct kdbus_match_memo *old = memo;

	if (memo->count <= KDBUS_MATCH_MEMO_MAX) {
		spin_lock(&index->lock);
		/* as no mask was taken out meanwhile, what it lists still exists */
		if (memo->version == index->version)
			old = rcu_replace_pointer(*slot, memo, lockdep_is_held(&index->lock));
		spin_unlock(&index->lock);
	}
	if (old)
		kfree_rcu(old, rcu);
}

static void kdbus_match_walk_masks(struct kdbus_match_walk *walk)
{
	const struct kdbus_bloom_filter *filter = walk->event->filter;
	struct kdbus_match_index *index = &walk->bus->matches;
	struct kdbus_match_memo __rcu **slot = NULL;
	size_t i;
	u64 word;

	walk->memo = NULL;
	if (READ_ONCE(index->masks) >= KDBUS_MATCH_MEMO_MASKS) {
		slot = kdbus_match_memo_slot(walk->bus, filter);
		if (kdbus_match_recall(walk, slot))
			return;
		walk->memo = kdbus_match_memo_new(walk->bus, filter);
	}
	if (walk->memo)
		/* pairs with the store in kdbus_match_index_changed() */
		walk->memo->version = smp_load_acquire(&index->version);

	walk->fold = 0;
	for (i = 0; i < index->n_bits / 64; i++)
		walk->fold |= filter->data[i];
	for (i = 0; i < index->n_bits / 64; i++)
		for (word = filter->data[i]; word; word &= word - 1)
			kdbus_match_walk_bit(walk, &index->bits[i * 64 + __ffs64(word)]);

	if (walk->memo)
		kdbus_match_remember(index, slot, walk->memo);
}

/* Look into what is filed under a signal's sender, by id and by each of its names. */
static void kdbus_match_walk_sender(struct kdbus_match_walk *walk, struct kdbus_match_index *index)
{
	DECLARE_BITMAP(buckets, 1 << KDBUS_MATCH_HASH_BITS);
	struct kdbus_conn *src = walk->event->src;
	struct kdbus_name_owner *owner;
	unsigned int i;
	u32 hash;

	bitmap_zero(buckets, 1 << KDBUS_MATCH_HASH_BITS);
	hash = kdbus_match_hash_id(KDBUS_ITEM_ID, src->id);
	__set_bit(hash_32(hash, KDBUS_MATCH_HASH_BITS), buckets);
	rcu_read_lock();
	list_for_each_entry_rcu(owner, &src->names, conn_entry) {
		hash = kdbus_match_hash_name(KDBUS_ITEM_NAME, owner->name->name);
		__set_bit(hash_32(hash, KDBUS_MATCH_HASH_BITS), buckets);
	}
	rcu_read_unlock();

	for_each_set_bit(i, buckets, 1 << KDBUS_MATCH_HASH_BITS)
		kdbus_match_walk_bucket(walk, &index->hashed[i]);
}

static void kdbus_match_walk_signal(struct kdbus_match_walk *walk, struct kdbus_match_index *index)
{
	kdbus_match_walk_masks(walk);
	kdbus_match_walk_sender(walk, index);
	kdbus_match_walk_bucket(walk, &index->signals);
}

static void kdbus_match_walk_notification(struct kdbus_match_walk *walk,
					  struct kdbus_match_index *index)
{
	const struct kdbus_item *item = walk->event->item;
	const struct kdbus_notify_name_change *change = &item->name_change;
	u32 hash[4];
	size_t n = 0, i;

	hash[n++] = kdbus_match_hash_id(item->type, KDBUS_MATCH_ID_ANY);
	if (item->type == KDBUS_ITEM_ID_ADD || item->type == KDBUS_ITEM_ID_REMOVE) {
		hash[n++] = kdbus_match_hash_id(item->type, item->id_change.id);
	} else {
		hash[n++] = kdbus_match_hash_name(item->type, kdbus_name_change_name(item));
		hash[n++] = kdbus_match_hash_id(item->type, change->new_id.id);
		if (change->old_id.id != change->new_id.id)
			hash[n++] = kdbus_match_hash_id(item->type, change->old_id.id);
	}

	for (i = 0; i < n; i++)
		kdbus_match_walk_bucket(walk, kdbus_match_hashed(index, hash[i]));
}

static int kdbus_receivers_compare(const void *a, const void *b)
{
	const struct kdbus_conn *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Keep each connection once. */
static void kdbus_receivers_unique(struct kdbus_receivers *receivers)
{
	struct kdbus_conn **conns = receivers->conns;
	size_t i, n = 0;

	if (receivers->count < 2)
		return;

	sort(conns, receivers->count, sizeof(*conns), kdbus_receivers_compare, NULL);
	for (i = 0; i < receivers->count; i++) {
		if (n > 0 && conns[i] == conns[n - 1])
			kdbus_conn_put(conns[i]);
		else
			conns[n++] = conns[i];
	}
	receivers->count = n;
}

/**
 * kdbus_match_collect() - find who wants an event
 * @bus:	the bus
 * @event:	the event
 * @receivers:	filled in, each receiver once; to be released
 */
void kdbus_match_collect(struct kdbus_bus *bus, const struct kdbus_match_event *event,
			 struct kdbus_receivers *receivers)
{
	struct kdbus_match_walk walk = { .bus = bus, .event = event, .receivers = receivers };

	kdbus_receivers_init(receivers);
	do {
		walk.found = 0;
		kdbus_match_walk_bucket(&walk, &bus->matches.any);
		if (event->src)
			kdbus_match_walk_signal(&walk, &bus->matches);
		else
			kdbus_match_walk_notification(&walk, &bus->matches);
	} while (kdbus_receivers_grow(receivers, walk.found));

	kdbus_receivers_unique(receivers);
}

/* ---- a connection's matches ---- */

static void kdbus_match_free(struct kdbus_conn *conn, struct kdbus_match *match)
{
	lockdep_assert_held(&conn->match_lock);

	kdbus_match_unfile(conn->ep->bus, match);
	list_del_rcu(&match->conn_entry);
	conn->n_matches--;
	kfree_rcu(match, rcu);
	kdbus_object_dec(KDBUS_OBJECT_MATCH);
}

static unsigned int kdbus_match_remove(struct kdbus_conn *conn, u64 cookie)
{
	struct kdbus_match *match, *next;
	unsigned int removed = 0;

	list_for_each_entry_safe(match, next, &conn->matches, conn_entry) {
		if (match->cookie == cookie) {
			kdbus_match_free(conn, match);
			removed++;
		}
	}
	return removed;
}

static unsigned int kdbus_match_count(const struct kdbus_conn *conn, u64 cookie)
{
	const struct kdbus_match *match;
	unsigned int count = 0;

	list_for_each_entry(match, &conn->matches, conn_entry)
		count += match->cookie == cookie;
	return count;
}

/**
 * kdbus_match_remove_all() - remove all matches of a connection
 * @conn:	the connection, which must not get new ones
 */
void kdbus_match_remove_all(struct kdbus_conn *conn)
{
	struct kdbus_match *match, *next;

	mutex_lock(&conn->match_lock);
	list_for_each_entry_safe(match, next, &conn->matches, conn_entry)
		kdbus_match_free(conn, match);
	mutex_unlock(&conn->match_lock);
}

static struct kdbus_match *kdbus_match_new(struct kdbus_conn *conn, struct kdbus_command *command)
{
	const struct kdbus_bus *bus = conn->ep->bus;
	const struct kdbus_item *item;
	struct kdbus_match *match;
	size_t size = 0, payload, i;

	kdbus_command_for_each_item(item, command) {
		payload = kdbus_item_payload(item);
		if (item->type == KDBUS_ITEM_BLOOM_MASK &&
		    (payload == 0 || payload % bus->bloom.size != 0))
			return ERR_PTR(-EDOM);
		if (item->type == KDBUS_ITEM_NAME && !kdbus_name_is_valid(item->str, false))
			return ERR_PTR(-EINVAL);
		if (item->type != KDBUS_ITEM_NEGOTIATE)
			size += ALIGN(item->size, 8);
	}

	match = kzalloc(struct_size(match, rules, size), GFP_KERNEL_ACCOUNT);
	if (!match)
		return ERR_PTR(-ENOMEM);

	match->conn = conn;
	match->cookie = ((struct kdbus_cmd_match *)command->cmd)->cookie;
	kdbus_command_for_each_item(item, command) {
		if (item->type != KDBUS_ITEM_NEGOTIATE) {
			memcpy(match->rules + match->size, item, item->size);
			match->size += ALIGN(item->size, 8);
		}
		if (item->type == KDBUS_ITEM_BLOOM_MASK)
			for (i = 0; i < bus->bloom.size / sizeof(u64); i++)
				match->fold |= kdbus_mask_word(bus, item, i);
	}
	return match;
}

static int kdbus_match_add(struct kdbus_conn *conn, struct kdbus_match *match, bool replace)
{
	unsigned int left;

	lockdep_assert_held(&conn->match_lock);

	if (kdbus_conn_is_dead(conn))
		return -ECONNRESET;

	left = conn->n_matches;
	if (replace)
		left -= kdbus_match_count(conn, match->cookie);
	if (left >= KDBUS_MATCH_MAX)
		return -EMFILE;

	if (replace)
		kdbus_match_remove(conn, match->cookie);
	kdbus_match_file(conn->ep->bus, match);
	list_add_tail_rcu(&match->conn_entry, &conn->matches);
	conn->n_matches++;
	kdbus_object_inc(KDBUS_OBJECT_MATCH);
	return 0;
}

/**
 * kdbus_cmd_match_add() - KDBUS_CMD_MATCH_ADD
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_match_add(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	struct kdbus_match *match;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_match_add_spec, argp, storage, sizeof(storage));
	if (ret != 0)
		goto finish;

	match = kdbus_match_new(conn, &command);
	if (IS_ERR(match)) {
		ret = PTR_ERR(match);
		goto finish;
	}

	mutex_lock(&conn->match_lock);
	ret = kdbus_match_add(conn, match, command.cmd->flags & KDBUS_MATCH_REPLACE);
	mutex_unlock(&conn->match_lock);
	if (ret < 0)
		kfree(match);

finish:
	return kdbus_command_finish(&command, ret);
}

/**
 * kdbus_cmd_match_remove() - KDBUS_CMD_MATCH_REMOVE
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_match_remove(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	u64 cookie;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_match_remove_spec, argp, storage,
				  sizeof(storage));
	if (ret != 0)
		goto finish;

	cookie = ((struct kdbus_cmd_match *)command.cmd)->cookie;
	mutex_lock(&conn->match_lock);
	if (kdbus_match_remove(conn, cookie) == 0)
		ret = -EBADSLT;
	mutex_unlock(&conn->match_lock);

finish:
	return kdbus_command_finish(&command, ret);
}
