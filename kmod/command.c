// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "command.h"

#define KDBUS_ITEM_HEADER	offsetof(struct kdbus_item, data)

/**
 * enum kdbus_layout - what an item's payload must look like
 * @KDBUS_LAYOUT_ANY:		anything
 * @KDBUS_LAYOUT_EXACT:		exactly as many bytes as stated
 * @KDBUS_LAYOUT_MULTIPLE:	a multiple of that, 0 included
 * @KDBUS_LAYOUT_MINIMUM:	at least as many
 * @KDBUS_LAYOUT_STRING:	a string: its first NUL is its last byte
 * @KDBUS_LAYOUT_STRING_TAIL:	the stated bytes, then nothing or a string
 * @KDBUS_LAYOUT_SYSNAME:	a name of a bus or endpoint
 */
enum kdbus_layout {
	KDBUS_LAYOUT_ANY,
	KDBUS_LAYOUT_EXACT,
	KDBUS_LAYOUT_MULTIPLE,
	KDBUS_LAYOUT_MINIMUM,
	KDBUS_LAYOUT_STRING,
	KDBUS_LAYOUT_STRING_TAIL,
	KDBUS_LAYOUT_SYSNAME,
};

static int kdbus_check_vec(const struct kdbus_item *item)
{
	return item->vec.size == 0 || item->vec.size > SIZE_MAX ? -EINVAL : 0;
}

static int kdbus_check_memfd(const struct kdbus_item *item)
{
	if (item->memfd.size == 0 || item->memfd.size > SIZE_MAX)
		return -EINVAL;
	return item->memfd.fd < 0 ? -EBADF : 0;
}

static const struct kdbus_item_layout {
	u64 type;
	enum kdbus_layout layout;
	size_t size;
	int (*check)(const struct kdbus_item *item);
} kdbus_item_layouts[] = {
	{ KDBUS_ITEM_NEGOTIATE,		KDBUS_LAYOUT_MULTIPLE,	sizeof(u64) },
	{ KDBUS_ITEM_PAYLOAD_VEC,	KDBUS_LAYOUT_EXACT,	sizeof(struct kdbus_vec),
	  kdbus_check_vec },
	{ KDBUS_ITEM_PAYLOAD_MEMFD,	KDBUS_LAYOUT_EXACT,	sizeof(struct kdbus_memfd),
	  kdbus_check_memfd },
	{ KDBUS_ITEM_FDS,		KDBUS_LAYOUT_MULTIPLE,	sizeof(int) },
	{ KDBUS_ITEM_CANCEL_FD,		KDBUS_LAYOUT_EXACT,	sizeof(int) },
	{ KDBUS_ITEM_BLOOM_PARAMETER,	KDBUS_LAYOUT_EXACT,
	  sizeof(struct kdbus_bloom_parameter) },
	{ KDBUS_ITEM_BLOOM_FILTER,	KDBUS_LAYOUT_MINIMUM,	sizeof(struct kdbus_bloom_filter) },
	{ KDBUS_ITEM_BLOOM_MASK,	KDBUS_LAYOUT_ANY },
	{ KDBUS_ITEM_DST_NAME,		KDBUS_LAYOUT_STRING },
	{ KDBUS_ITEM_MAKE_NAME,		KDBUS_LAYOUT_SYSNAME },
	{ KDBUS_ITEM_ATTACH_FLAGS_SEND,	KDBUS_LAYOUT_EXACT,	sizeof(u64) },
	{ KDBUS_ITEM_ATTACH_FLAGS_RECV,	KDBUS_LAYOUT_EXACT,	sizeof(u64) },
	{ KDBUS_ITEM_ID,		KDBUS_LAYOUT_EXACT,	sizeof(u64) },
	{ KDBUS_ITEM_NAME,		KDBUS_LAYOUT_STRING },
	{ KDBUS_ITEM_DST_ID,		KDBUS_LAYOUT_EXACT,	sizeof(u64) },
	{ KDBUS_ITEM_CREDS,		KDBUS_LAYOUT_EXACT,	sizeof(struct kdbus_creds) },
	{ KDBUS_ITEM_PIDS,		KDBUS_LAYOUT_EXACT,	sizeof(struct kdbus_pids) },
	{ KDBUS_ITEM_SECLABEL,		KDBUS_LAYOUT_STRING },
	{ KDBUS_ITEM_CONN_DESCRIPTION,	KDBUS_LAYOUT_SYSNAME },
	{ KDBUS_ITEM_POLICY_ACCESS,	KDBUS_LAYOUT_EXACT,
	  sizeof(struct kdbus_policy_access) },
	{ KDBUS_ITEM_NAME_ADD,		KDBUS_LAYOUT_STRING_TAIL,
	  sizeof(struct kdbus_notify_name_change) },
	{ KDBUS_ITEM_NAME_REMOVE,	KDBUS_LAYOUT_STRING_TAIL,
	  sizeof(struct kdbus_notify_name_change) },
	{ KDBUS_ITEM_NAME_CHANGE,	KDBUS_LAYOUT_STRING_TAIL,
	  sizeof(struct kdbus_notify_name_change) },
	{ KDBUS_ITEM_ID_ADD,		KDBUS_LAYOUT_EXACT,
	  sizeof(struct kdbus_notify_id_change) },
	{ KDBUS_ITEM_ID_REMOVE,		KDBUS_LAYOUT_EXACT,
	  sizeof(struct kdbus_notify_id_change) },
};

const struct kdbus_item_spec kdbus_plain_items[1] = {
	{ KDBUS_ITEM_NEGOTIATE },
};

static bool kdbus_is_string(const char *str, size_t size)
{
	return size > 0 && strnlen(str, size) == size - 1;
}

/* "letter" means an ASCII letter; the kernel's isalnum() is Latin-1 */
static bool kdbus_is_alnum(char c)
{
	return isascii(c) && isalnum(c);
}

/**
 * kdbus_sysname_check() - is this a name for a bus, endpoint or connection?
 * @name:	the name
 * @size:	bytes at @name, terminating NUL included
 *
 * Return: 0, -EINVAL or -ENAMETOOLONG.
 */
int kdbus_sysname_check(const char *name, size_t size)
{
	size_t i, last = size - 2;

	if (size < 2)
		return -EINVAL;
	if (size > KDBUS_SYSNAME_MAX_LEN + 1)
		return -ENAMETOOLONG;
	if (!kdbus_is_string(name, size))
		return -EINVAL;

	for (i = 0; i <= last; i++) {
		if (kdbus_is_alnum(name[i]) || name[i] == '_')
			continue;
		if (i > 0 && i < last && (name[i] == '-' || name[i] == '.'))
			continue;
		return -EINVAL;
	}
	return 0;
}

/**
 * kdbus_sysname_check_owner() - may the running process use this name?
 * @name:	a name for a bus or endpoint
 *
 * They are named after the user who makes them: "<euid>-...".
 *
 * Return: 0 or -EINVAL.
 */
int kdbus_sysname_check_owner(const char *name)
{
	char prefix[16];
	uid_t uid;
	int len;

	uid = from_kuid(&init_user_ns, current_euid());
	if (uid == (uid_t)-1)
		return -EINVAL;
	len = snprintf(prefix, sizeof(prefix), "%u-", uid);
	return strncmp(name, prefix, len) ? -EINVAL : 0;
}

/**
 * kdbus_attach_flags_check() - check a mask of metadata
 * @flags:	the mask; ~0 is replaced by all there is
 *
 * Return: 0, or -EINVAL for a mask with unknown bits.
 */
int kdbus_attach_flags_check(u64 *flags)
{
	if (*flags == _KDBUS_ATTACH_ANY)
		*flags = _KDBUS_ATTACH_ALL;
	return *flags & ~(u64)_KDBUS_ATTACH_ALL ? -EINVAL : 0;
}

static int kdbus_item_check(const struct kdbus_item *item)
{
	const struct kdbus_item_layout *layout = NULL;
	size_t payload = kdbus_item_payload(item);
	bool ok = true;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kdbus_item_layouts); i++) {
		if (kdbus_item_layouts[i].type == item->type) {
			layout = &kdbus_item_layouts[i];
			break;
		}
	}
	if (WARN_ON_ONCE(!layout))
		return -EINVAL;

	switch (layout->layout) {
	case KDBUS_LAYOUT_ANY:
		break;
	case KDBUS_LAYOUT_EXACT:
		ok = payload == layout->size;
		break;
	case KDBUS_LAYOUT_MULTIPLE:
		ok = payload % layout->size == 0;
		break;
	case KDBUS_LAYOUT_MINIMUM:
		ok = payload >= layout->size;
		break;
	case KDBUS_LAYOUT_STRING:
		ok = kdbus_is_string(item->str, payload);
		break;
	case KDBUS_LAYOUT_STRING_TAIL:
		ok = payload == layout->size ||
		     (payload > layout->size &&
		      kdbus_is_string(item->str + layout->size, payload - layout->size));
		break;
	case KDBUS_LAYOUT_SYSNAME:
		return kdbus_sysname_check(item->str, payload);
	}
	if (!ok)
		return -EINVAL;

	return layout->check ? layout->check(item) : 0;
}

static int kdbus_command_spec_index(const struct kdbus_command_spec *spec, u64 type)
{
	unsigned int i;

	for (i = 0; i < spec->n_items; i++)
		if (spec->items[i].type == type)
			return i;
	return -1;
}

static int kdbus_command_read(struct kdbus_command *command, void *storage, size_t storage_size)
{
	const struct kdbus_command_spec *spec = command->spec;
	u64 size;

	if (!IS_ALIGNED((unsigned long)command->user, 8))
		return -EFAULT;
	if (get_user(size, (u64 __user *)command->user))
		return -EFAULT;
	if (size < spec->fixed)
		return -EINVAL;
	if (size > KDBUS_CMD_MAX_SIZE)
		return -EMSGSIZE;

	command->data = storage;
	if (ALIGN(size, 8) > storage_size) {
		command->data = kvmalloc(ALIGN(size, 8), GFP_KERNEL_ACCOUNT);
		if (!command->data)
			return -ENOMEM;
		command->heap = true;
	}

	if (copy_from_user(command->data, command->user, size))
		return -EFAULT;
	if (command->cmd->size != size)
		return -EINVAL;

	memset(command->data + size, 0, ALIGN(size, 8) - size);
	command->size = size;
	command->read = true;
	return 0;
}

static int kdbus_command_check_items(struct kdbus_command *command)
{
	const struct kdbus_command_spec *spec = command->spec;
	size_t offset = spec->fixed, left;
	struct kdbus_item *item;
	int index, ret;

	while (offset < command->size) {
		item = command->data + offset;
		left = command->size - offset;
		if (left < KDBUS_ITEM_HEADER || item->size < KDBUS_ITEM_HEADER || item->size > left)
			return -EINVAL;

		index = kdbus_command_spec_index(spec, item->type);
		if (index < 0)
			return -EINVAL;
		ret = kdbus_item_check(item);
		if (ret < 0)
			return ret;
		if (command->found[index] && !spec->items[index].multiple)
			return -EINVAL;
		if (!command->found[index])
			command->found[index] = item;

		offset += ALIGN(item->size, 8);
	}

	return offset == ALIGN(command->size, 8) ? 0 : -EINVAL;
}

/* Tell the caller which item types and flags are known. */
static int kdbus_command_negotiate(struct kdbus_command *command)
{
	const struct kdbus_command_spec *spec = command->spec;
	int index = kdbus_command_spec_index(spec, KDBUS_ITEM_NEGOTIATE);
	const struct kdbus_item *item = command->found[index];
	u64 __user *types;
	size_t i;
	int ret;

	if (item) {
		types = command->user + ((void *)item->data64 - command->data);
		for (i = 0; i < kdbus_item_payload(item) / sizeof(u64); i++)
			if (kdbus_command_spec_index(spec, item->data64[i]) < 0 &&
			    put_user(0ULL, types + i))
				return -EFAULT;
	}

	if (!(command->cmd->flags & KDBUS_FLAG_NEGOTIATE))
		return 0;
	ret = kdbus_command_copy_out(command, offsetof(struct kdbus_cmd, flags), &spec->flags,
				     sizeof(spec->flags));
	return ret < 0 ? ret : KDBUS_COMMAND_NEGOTIATED;
}

/**
 * kdbus_command_parse() - copy a command or message and check its structure
 * @command:		filled in; to be finished whatever is returned
 * @spec:		what to expect
 * @user:		where it is
 * @storage:		memory for the copy, aligned to 8
 * @storage_size:	bytes at @storage
 *
 * Return: 0, KDBUS_COMMAND_NEGOTIATED, or the error the caller is to return.
 */
int kdbus_command_parse(struct kdbus_command *command, const struct kdbus_command_spec *spec,
			void __user *user, void *storage, size_t storage_size)
{
	unsigned int i;
	int ret;

	*command = (struct kdbus_command){ .spec = spec, .user = user };

	ret = kdbus_command_read(command, storage, storage_size);
	if (ret < 0)
		return ret;
	if (command->cmd->flags & ~(spec->flags | KDBUS_FLAG_NEGOTIATE))
		return -EINVAL;
	ret = kdbus_command_check_items(command);
	if (ret < 0)
		return ret;
	ret = kdbus_command_negotiate(command);
	if (ret != 0)
		return ret;

	for (i = 0; i < spec->n_items; i++)
		if (spec->items[i].mandatory && !command->found[i])
			return -EINVAL;
	return 0;
}

/**
 * kdbus_command_return() - write return_flags back
 * @command:	a command, not a message
 *
 * For commands that must undo what they did if this fails.
 *
 * Return: 0 or -EFAULT.
 */
int kdbus_command_return(struct kdbus_command *command)
{
	return kdbus_command_copy_out(command, offsetof(struct kdbus_cmd, return_flags),
				      &command->return_flags, sizeof(command->return_flags));
}

/**
 * kdbus_command_copy_out() - write part of a command back
 * @command:	the command
 * @offset:	where in the structure
 * @from:	what
 * @len:	how many bytes
 *
 * Return: 0 or -EFAULT.
 */
int kdbus_command_copy_out(struct kdbus_command *command, size_t offset, const void *from,
			   size_t len)
{
	return copy_to_user(command->user + offset, from, len) ? -EFAULT : 0;
}

/**
 * kdbus_command_release() - free the copy of a message
 * @command:	what kdbus_command_parse() filled in
 */
void kdbus_command_release(struct kdbus_command *command)
{
	if (command->heap)
		kvfree(command->data);
}

/**
 * kdbus_command_finish() - end a command
 * @command:	what kdbus_command_parse() filled in
 * @ret:	how it went
 *
 * Writes return_flags if the command was read completely and did not just
 * negotiate, and frees the copy.
 *
 * Return: what the ioctl returns.
 */
int kdbus_command_finish(struct kdbus_command *command, int ret)
{
	if (ret == KDBUS_COMMAND_NEGOTIATED)
		ret = 0;
	else if (command->read && kdbus_command_return(command) < 0)
		ret = -EFAULT;

	kdbus_command_release(command);
	return ret;
}
