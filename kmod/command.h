/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Commands
 *
 * Everything user space says arrives as a command: a structure with a size, a
 * word of flags and, after a fixed part, a list of items. A message is built
 * the same way. All checks that need no knowledge of the command's meaning -
 * sizes, alignment, flags, layout of items, repeats, negotiation - are made
 * here, driven by one table per command and one table of item layouts. A
 * handler starts with a private copy whose structure it can trust.
 *
 * User memory is read once; the copy lives on the caller's stack when small.
 */
#ifndef KDBUS_COMMAND_H
#define KDBUS_COMMAND_H

#include <linux/types.h>

#include <linux/kdbus.h>

/* Most item types any command accepts. */
#define KDBUS_COMMAND_MAX_ITEMS	12

/**
 * struct kdbus_item_spec - an item a command accepts
 * @type:	KDBUS_ITEM_*
 * @mandatory:	the command cannot do without
 * @multiple:	it may occur more than once
 */
struct kdbus_item_spec {
	u64 type;
	bool mandatory : 1;
	bool multiple : 1;
};

/**
 * struct kdbus_command_spec - the shape of a command or message
 * @fixed:	bytes of the structure before its items
 * @flags:	flags it knows, without KDBUS_FLAG_NEGOTIATE
 * @items:	items it accepts
 * @n_items:	how many these are
 */
struct kdbus_command_spec {
	size_t fixed;
	u64 flags;
	const struct kdbus_item_spec *items;
	unsigned int n_items;
};

/**
 * struct kdbus_command - a command or message being executed
 * @spec:	its shape
 * @user:	where it came from
 * @data:	the private copy
 * @size:	bytes of it, @data->size
 * @heap:	the copy was allocated
 * @read:	the copy is complete, so that results are written back
 * @found:	first item of each type, by position in the specification
 * @return_flags: what to store in the command's return_flags
 */
struct kdbus_command {
	const struct kdbus_command_spec *spec;
	void __user *user;
	union {
		void *data;
		struct kdbus_cmd *cmd;
		struct kdbus_msg *msg;
	};
	size_t size;
	bool heap : 1;
	bool read : 1;
	struct kdbus_item *found[KDBUS_COMMAND_MAX_ITEMS];
	u64 return_flags;
};

/* What kdbus_command_parse() returns when all there is to do has been done. */
#define KDBUS_COMMAND_NEGOTIATED	1

/* For commands that have no items of their own: KDBUS_ITEM_NEGOTIATE, as all have. */
extern const struct kdbus_item_spec kdbus_plain_items[1];

int kdbus_command_parse(struct kdbus_command *command, const struct kdbus_command_spec *spec,
			void __user *user, void *storage, size_t storage_size);
void kdbus_command_release(struct kdbus_command *command);
int kdbus_command_finish(struct kdbus_command *command, int ret);
int kdbus_command_return(struct kdbus_command *command);
int kdbus_command_copy_out(struct kdbus_command *command, size_t offset, const void *from,
			   size_t len);

/* How much of a command is kept on the stack, unless it needs more. */
#define KDBUS_COMMAND_STORAGE	192

/* Iterate over the items of a parsed command or message. */
#define kdbus_command_for_each_item(_item, _command)					\
	for ((_item) = (_command)->data + (_command)->spec->fixed;			\
	     (void *)(_item) < (_command)->data + (_command)->size;			\
	     (_item) = (void *)(_item) + ALIGN((_item)->size, 8))

static inline size_t kdbus_item_payload(const struct kdbus_item *item)
{
	return item->size - offsetof(struct kdbus_item, data);
}

int kdbus_sysname_check(const char *name, size_t size);
int kdbus_sysname_check_owner(const char *name);
int kdbus_attach_flags_check(u64 *flags);

#endif /* KDBUS_COMMAND_H */
