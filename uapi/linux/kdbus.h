/* SPDX-License-Identifier: LGPL-2.1-or-later WITH Linux-syscall-note */
/*
 * DOC: kdbus - user-space interface
 *
 * Programs reach a bus through the character devices below /dev/kdbus/. An open
 * file of one of them is a handle. It is fresh at first; the first successful
 * KDBUS_CMD_BUS_MAKE (on "control"), KDBUS_CMD_ENDPOINT_MAKE or
 * KDBUS_CMD_HELLO (on an endpoint) makes it the owner of a bus, the owner of an
 * endpoint, or a connection, for good. kdbus(7) explains the concepts,
 * kdbus-ioctl(4) and the pages named there the commands.
 *
 * Conventions:
 *
 * - Sizes and offsets are in bytes, times in nanoseconds; integers are in the
 *   byte order of the machine. All structures have the same layout for 32-bit
 *   and 64-bit programs.
 * - Commands, messages and items begin at multiples of 8. The size of an item
 *   counts its header and payload, but not the padding behind it; the next item
 *   begins at the next multiple of 8. Behind the last item of a command or
 *   message the padding may be left out.
 * - A string has exactly one NUL, its last byte, which counts.
 * - An item may be given once unless "any number" is said, in any order, and
 *   only to commands that are said to take it. "Mandatory" items must be given.
 *   KDBUS_ITEM_NEGOTIATE can be given to all, and is not mentioned again.
 * - "set" marks members that the kernel writes; what is in them before does not
 *   matter. All others are read.
 * - Every command returns 0, or -1 with errno set. A failed command has changed
 *   nothing unless said otherwise.
 *
 * Pool offsets: results and messages are placed in the connection's pool, which
 * is mapped with mmap(PROT_READ) of the connection, at offset 0 or page-wise.
 * Such a slice does not change, and is the program's until it gives the offset
 * back with KDBUS_CMD_FREE or closes the connection.
 *
 * Negotiation: with KDBUS_FLAG_NEGOTIATE in flags a command does nothing but
 * store there which flags it knows. KDBUS_ITEM_NEGOTIATE has an array of item
 * types, of which it overwrites those with 0 that the command does not take.
 *
 * Errors common to all commands, in the order of checks, and before those that
 * are listed with each:
 *
 * - ENOTTY: no such command
 * - ESHUTDOWN: the endpoint has ended
 * - EBADFD: not for this kind of handle
 * - ECONNRESET: the connection has ended
 * - EOPNOTSUPP: not for this kind of connection
 * - EFAULT: the argument is not aligned to 8, or cannot be read or written
 * - EINVAL: size is too small; EMSGSIZE: larger than KDBUS_CMD_MAX_SIZE
 * - EINVAL: unknown flag; unknown, malformed, repeated or missing item
 * - ENOMEM: at any time
 */
#ifndef _UAPI_LINUX_KDBUS_H_
#define _UAPI_LINUX_KDBUS_H_

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * An array of any length. Programs may put structures behind one that ends in
 * it; the kernel's own checks of bounds take [0] at its word.
 */
#ifdef __KERNEL__
#define __KDBUS_DECLARE_FLEX_ARRAY(type, name)	\
	struct {				\
		struct { } __empty_ ## name;	\
		type name[];			\
	}
#else
#define __KDBUS_DECLARE_FLEX_ARRAY(type, name)	type name[0]
#endif

#define KDBUS_IOCTL_MAGIC		0x95

/* kdbus_msg.src_id of notifications, which the kernel itself sends. */
#define KDBUS_SRC_ID_KERNEL		(0)
/* kdbus_msg.dst_id that means: the name in KDBUS_ITEM_DST_NAME decides. */
#define KDBUS_DST_ID_NAME		(0)
/* Wildcard for ids in rules of KDBUS_CMD_MATCH_ADD. */
#define KDBUS_MATCH_ID_ANY		(~0ULL)
/* kdbus_msg.dst_id of a broadcast, which must be a signal. */
#define KDBUS_DST_ID_BROADCAST		(~0ULL)
/* In flags of any command or message: ask which flags it knows, do nothing else. */
#define KDBUS_FLAG_NEGOTIATE		(1ULL << 63)

/**
 * struct kdbus_notify_id_change - a connection in a notification or match rule
 * @id:		connection id
 * @flags:	KDBUS_HELLO_* in KDBUS_ITEM_ID_*, KDBUS_NAME_* in
 *		KDBUS_ITEM_NAME_*; ignored in match rules
 */
struct kdbus_notify_id_change {
	__u64 id;
	__u64 flags;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_notify_name_change - change of a well-known name's owner
 * @old_id:	who owned the name before; id 0 for nobody
 * @new_id:	who owns it now; id 0 for nobody
 * @name:	the name, NUL-terminated; may be left out in match rules
 */
struct kdbus_notify_name_change {
	struct kdbus_notify_id_change old_id;
	struct kdbus_notify_id_change new_id;
	__KDBUS_DECLARE_FLEX_ARRAY(char, name);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_creds - user and group ids of a process
 * @uid:	real user id
 * @euid:	effective user id
 * @suid:	saved user id
 * @fsuid:	file-system user id
 * @gid:	real group id
 * @egid:	effective group id
 * @sgid:	saved group id
 * @fsgid:	file-system group id
 *
 * Ids are those of the reader's user namespace; 65534 stands for an id that
 * is not mapped there, 0xffffffff for one that is unknown. Given at HELLO, ids
 * are those of the caller's namespace and must exist there, or be 0xffffffff.
 */
struct kdbus_creds {
	__u64 uid;
	__u64 euid;
	__u64 suid;
	__u64 fsuid;
	__u64 gid;
	__u64 egid;
	__u64 sgid;
	__u64 fsgid;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_pids - process ids
 * @pid:	process (thread group)
 * @tid:	thread
 * @ppid:	parent process
 *
 * Ids are those of the reader's pid namespace, 0 if not visible there. Given at
 * HELLO, they are those of the caller's namespace and must exist, or be 0.
 */
struct kdbus_pids {
	__u64 pid;
	__u64 tid;
	__u64 ppid;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_caps - capability sets of a process
 * @last_cap:	highest capability the running kernel knows
 * @caps:	inheritable, permitted, effective and bounding set, each
 *		last_cap / 32 + 1 words, low word first; they begin right
 *		behind @last_cap
 *
 * The sets are those the process has in the reader's user namespace.
 */
struct kdbus_caps {
	__u32 last_cap;
	__KDBUS_DECLARE_FLEX_ARRAY(__u32, caps);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_audit - audit identity of a process
 * @sessionid:	audit session
 * @loginuid:	user id at login, 0xffffffff if unset or not mapped in the
 *		reader's user namespace
 */
struct kdbus_audit {
	__u32 sessionid;
	__u32 loginuid;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_timestamp - when a message was sent
 * @seqnum:		number of the message on its bus, counted from 1; all
 *			receivers of a message see the same
 * @monotonic_ns:	CLOCK_MONOTONIC, nanoseconds
 * @realtime_ns:	CLOCK_REALTIME, nanoseconds
 */
struct kdbus_timestamp {
	__u64 seqnum;
	__u64 monotonic_ns;
	__u64 realtime_ns;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_vec - a piece of payload
 * @size:	bytes, 1 to KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE
 * @address:	sending: where it is in memory; 0 for @size zero bytes, which
 *		take up no memory
 * @offset:	received: where it is, relative to its struct kdbus_msg; ~0 for
 *		@size zero bytes
 *
 * Bytes need no alignment. What was copied lies, modulo 8, where it would lie if
 * the pieces of the payload followed each other without gaps.
 */
struct kdbus_vec {
	__u64 size;
	union {
		__u64 address;
		__u64 offset;
	};
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_bloom_parameter - Bloom filter geometry of a bus
 * @size:	bytes of each filter, 8 to 4096, a multiple of 8
 * @n_hash:	number of hash functions, at least 1; of meaning to user space
 *		alone
 */
struct kdbus_bloom_parameter {
	__u64 size;
	__u64 n_hash;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_bloom_filter - what a signal is about
 * @generation:	selects the mask of a match rule that carries several, from 0
 * @data:	the filter's bits, kdbus_bloom_parameter.size bytes
 *
 * A rule passes a signal if (filter & mask) == mask.
 */
struct kdbus_bloom_filter {
	__u64 generation;
	__KDBUS_DECLARE_FLEX_ARRAY(__u64, data);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_memfd - payload in a sealed memory file
 * @start:	first byte of the payload in the file, any number
 * @size:	bytes of payload, not 0; must not reach beyond the file's end
 * @fd:		descriptor of the file. The receiver gets one of its own with
 *		O_CLOEXEC, to be closed by it; -1 if it could not be installed
 * @__pad:	passed through unchanged
 *
 * The file must be a memfd with F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and
 * F_SEAL_WRITE. It may be passed in broadcasts and to those who do not accept
 * descriptors.
 */
struct kdbus_memfd {
	__u64 start;
	__u64 size;
	int fd;
	__u32 __pad;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_name - a well-known name somebody holds
 * @flags:	enum kdbus_name_flags: KDBUS_NAME_PRIMARY or
 *		KDBUS_NAME_IN_QUEUE; KDBUS_NAME_ACTIVATOR,
 *		KDBUS_NAME_ALLOW_REPLACEMENT and KDBUS_NAME_QUEUE if they apply
 * @name:	the name, NUL-terminated
 */
struct kdbus_name {
	__u64 flags;
	__KDBUS_DECLARE_FLEX_ARRAY(char, name);
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_policy_access_type - whom a policy entry grants something to
 * @_KDBUS_POLICY_ACCESS_NULL:	not valid
 * @KDBUS_POLICY_ACCESS_USER:	those with this effective user id
 * @KDBUS_POLICY_ACCESS_GROUP:	those with this effective group id, or with it
 *				among their supplementary groups
 * @KDBUS_POLICY_ACCESS_WORLD:	everybody
 */
enum kdbus_policy_access_type {
	_KDBUS_POLICY_ACCESS_NULL,
	KDBUS_POLICY_ACCESS_USER,
	KDBUS_POLICY_ACCESS_GROUP,
	KDBUS_POLICY_ACCESS_WORLD,
};

/**
 * enum kdbus_policy_access_flags - what a policy entry grants on its name
 * @KDBUS_POLICY_SEE:	know who owns it; on custom endpoints only, as
 *			everybody may elsewhere
 * @KDBUS_POLICY_TALK:	see it, and send to its owner
 * @KDBUS_POLICY_OWN:	talk to it, and own it
 *
 * These are levels, not bits; the highest one that applies counts.
 */
enum kdbus_policy_access_flags {
	KDBUS_POLICY_SEE,
	KDBUS_POLICY_TALK,
	KDBUS_POLICY_OWN,
};

/**
 * struct kdbus_policy_access - one grant of a policy entry
 * @type:	KDBUS_POLICY_ACCESS_*: to whom
 * @access:	KDBUS_POLICY_*: what
 * @id:		user or group id, of the caller's user namespace; ignored for
 *		KDBUS_POLICY_ACCESS_WORLD
 */
struct kdbus_policy_access {
	__u64 type;
	__u64 access;
	__u64 id;
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_attach_flags - metadata of a message or connection
 * @KDBUS_ATTACH_TIMESTAMP:	when the message was sent; not of connections
 * @KDBUS_ATTACH_CREDS:		user and group ids
 * @KDBUS_ATTACH_PIDS:		process, thread, parent process
 * @KDBUS_ATTACH_AUXGROUPS:	supplementary groups
 * @KDBUS_ATTACH_NAMES:		well-known names it owns
 * @KDBUS_ATTACH_TID_COMM:	name of the thread
 * @KDBUS_ATTACH_PID_COMM:	name of the process
 * @KDBUS_ATTACH_EXE:		path of the executable; absent if the reader has
 *				another root directory
 * @KDBUS_ATTACH_CMDLINE:	first argument of the command line
 * @KDBUS_ATTACH_CGROUP:	path in the unified cgroup hierarchy
 * @KDBUS_ATTACH_CAPS:		capability sets
 * @KDBUS_ATTACH_SECLABEL:	label of the security module
 * @KDBUS_ATTACH_AUDIT:		audit session and login user
 * @KDBUS_ATTACH_CONN_DESCRIPTION: description given at HELLO
 * @_KDBUS_ATTACH_ALL:		all that there are
 * @_KDBUS_ATTACH_ANY:		in place of a mask: all that there are, now and
 *				in the future
 *
 * Bit n asks for the item of type _KDBUS_ITEM_ATTACH_BASE + n; what is not known
 * is left out. Any other bit is EINVAL. Messages carry what the receiver's mask
 * asks for: TIMESTAMP, CREDS, PIDS, AUXGROUPS, NAMES and CONN_DESCRIPTION in any
 * case, the others if the sending thread is visible in the receiver's pid
 * namespace or the sender's mask has them. KDBUS_CMD_CONN_INFO tells what both
 * the request and the mask of the other side have. The module parameter
 * attach_flags_mask withholds metadata from everybody.
 */
enum kdbus_attach_flags {
	KDBUS_ATTACH_TIMESTAMP		= 1ULL <<  0,
	KDBUS_ATTACH_CREDS		= 1ULL <<  1,
	KDBUS_ATTACH_PIDS		= 1ULL <<  2,
	KDBUS_ATTACH_AUXGROUPS		= 1ULL <<  3,
	KDBUS_ATTACH_NAMES		= 1ULL <<  4,
	KDBUS_ATTACH_TID_COMM		= 1ULL <<  5,
	KDBUS_ATTACH_PID_COMM		= 1ULL <<  6,
	KDBUS_ATTACH_EXE		= 1ULL <<  7,
	KDBUS_ATTACH_CMDLINE		= 1ULL <<  8,
	KDBUS_ATTACH_CGROUP		= 1ULL <<  9,
	KDBUS_ATTACH_CAPS		= 1ULL << 10,
	KDBUS_ATTACH_SECLABEL		= 1ULL << 11,
	KDBUS_ATTACH_AUDIT		= 1ULL << 12,
	KDBUS_ATTACH_CONN_DESCRIPTION	= 1ULL << 13,
	_KDBUS_ATTACH_ALL		= (1ULL << 14) - 1,
	_KDBUS_ATTACH_ANY		= ~0ULL,
};

/**
 * enum kdbus_item_type - what an item's payload is
 * @_KDBUS_ITEM_NULL:		not valid
 * @_KDBUS_ITEM_USER_BASE:	the first of those that programs give
 * @KDBUS_ITEM_NEGOTIATE:	data64[]: types to ask about
 * @KDBUS_ITEM_PAYLOAD_VEC:	vec: payload to copy; any number in a message
 * @KDBUS_ITEM_PAYLOAD_OFF:	vec: the same, received
 * @KDBUS_ITEM_PAYLOAD_MEMFD:	memfd: payload in a file; up to
 *				KDBUS_MSG_MAX_MEMFD_ITEMS in a message
 * @KDBUS_ITEM_FDS:		fds[]: 1 to KDBUS_CONN_MAX_FDS_PER_USER
 *				descriptors; in messages, not in broadcasts, and
 *				only to receivers that accept them. Received:
 *				the receiver's own, with O_CLOEXEC, to be closed
 *				by it; -1 for those that could not be installed
 * @KDBUS_ITEM_CANCEL_FD:	fds[0]: stops a synchronous call when readable;
 *				for KDBUS_CMD_SEND
 * @KDBUS_ITEM_BLOOM_PARAMETER:	bloom_parameter: the bus's; mandatory for
 *				KDBUS_CMD_BUS_MAKE, result of KDBUS_CMD_HELLO
 * @KDBUS_ITEM_BLOOM_FILTER:	bloom_filter: mandatory in signals, not allowed
 *				in other messages
 * @KDBUS_ITEM_BLOOM_MASK:	data64[]: rule of KDBUS_CMD_MATCH_ADD: one or
 *				more masks of the bus's size; a signal of
 *				generation n is compared with mask n, or the
 *				last one
 * @KDBUS_ITEM_DST_NAME:	str: well-known name of a message's receiver;
 *				if dst_id is not 0, it must be that connection's
 * @KDBUS_ITEM_MAKE_NAME:	str: name of a bus or endpoint, beginning with
 *				the effective user id and a dash; mandatory for
 *				KDBUS_CMD_BUS_MAKE and KDBUS_CMD_ENDPOINT_MAKE,
 *				result of KDBUS_CMD_BUS_CREATOR_INFO
 * @KDBUS_ITEM_ATTACH_FLAGS_SEND: data64[0]: enum kdbus_attach_flags that
 *				others may learn; for KDBUS_CMD_BUS_MAKE and
 *				KDBUS_CMD_UPDATE
 * @KDBUS_ITEM_ATTACH_FLAGS_RECV: data64[0]: enum kdbus_attach_flags wanted with
 *				messages; for KDBUS_CMD_UPDATE
 * @KDBUS_ITEM_ID:		id: rule of KDBUS_CMD_MATCH_ADD: sender of a
 *				signal, or KDBUS_MATCH_ID_ANY
 * @KDBUS_ITEM_NAME:		str: a well-known name. Mandatory for
 *				KDBUS_CMD_NAME_ACQUIRE and _RELEASE, and HELLO
 *				of activators and policy holders; begins a
 *				policy entry in KDBUS_CMD_UPDATE and
 *				KDBUS_CMD_ENDPOINT_UPDATE; whom
 *				KDBUS_CMD_CONN_INFO is about; as a rule of
 *				KDBUS_CMD_MATCH_ADD: a name the sender owns
 * @KDBUS_ITEM_DST_ID:		id: rule of KDBUS_CMD_MATCH_ADD: dst_id of a
 *				signal as it was sent, or KDBUS_MATCH_ID_ANY
 * @_KDBUS_ITEM_ATTACH_BASE:	the first of metadata
 * @KDBUS_ITEM_TIMESTAMP:	timestamp
 * @KDBUS_ITEM_CREDS:		creds; for KDBUS_CMD_HELLO too
 * @KDBUS_ITEM_PIDS:		pids; for KDBUS_CMD_HELLO too
 * @KDBUS_ITEM_AUXGROUPS:	data64[]: group ids; may be empty
 * @KDBUS_ITEM_OWNED_NAME:	name: one item for each name that is owned;
 *				in results of KDBUS_CMD_LIST, also for one that
 *				is waited for
 * @KDBUS_ITEM_TID_COMM:	str
 * @KDBUS_ITEM_PID_COMM:	str
 * @KDBUS_ITEM_EXE:		str
 * @KDBUS_ITEM_CMDLINE:		str
 * @KDBUS_ITEM_CGROUP:		str
 * @KDBUS_ITEM_CAPS:		caps
 * @KDBUS_ITEM_SECLABEL:	str; for KDBUS_CMD_HELLO too
 * @KDBUS_ITEM_AUDIT:		audit
 * @KDBUS_ITEM_CONN_DESCRIPTION: str; for KDBUS_CMD_HELLO too
 * @_KDBUS_ITEM_POLICY_BASE:	the first of policy
 * @KDBUS_ITEM_POLICY_ACCESS:	policy_access: a grant, of the entry begun by
 *				the KDBUS_ITEM_NAME before it; any number for
 *				KDBUS_CMD_HELLO, _UPDATE and _ENDPOINT_UPDATE
 * @_KDBUS_ITEM_KERNEL_BASE:	the first of notifications, and of the rules of
 *				KDBUS_CMD_MATCH_ADD for them
 * @KDBUS_ITEM_NAME_ADD:	name_change: a name has its first owner
 * @KDBUS_ITEM_NAME_REMOVE:	name_change: a name has lost its last owner
 * @KDBUS_ITEM_NAME_CHANGE:	name_change: a name has another owner
 * @KDBUS_ITEM_ID_ADD:		id_change: a connection has come
 * @KDBUS_ITEM_ID_REMOVE:	id_change: a connection has left
 * @KDBUS_ITEM_REPLY_TIMEOUT:	no payload: nobody answered, in time, the call
 *				whose cookie is in cookie_reply; not in rules
 * @KDBUS_ITEM_REPLY_DEAD:	no payload: its receiver has left or discarded
 *				the call; not in rules
 *
 * The first word after the colon is the member of struct kdbus_item that holds
 * the payload.
 */
enum kdbus_item_type {
	_KDBUS_ITEM_NULL,
	_KDBUS_ITEM_USER_BASE,
	KDBUS_ITEM_NEGOTIATE	= _KDBUS_ITEM_USER_BASE,
	KDBUS_ITEM_PAYLOAD_VEC,
	KDBUS_ITEM_PAYLOAD_OFF,
	KDBUS_ITEM_PAYLOAD_MEMFD,
	KDBUS_ITEM_FDS,
	KDBUS_ITEM_CANCEL_FD,
	KDBUS_ITEM_BLOOM_PARAMETER,
	KDBUS_ITEM_BLOOM_FILTER,
	KDBUS_ITEM_BLOOM_MASK,
	KDBUS_ITEM_DST_NAME,
	KDBUS_ITEM_MAKE_NAME,
	KDBUS_ITEM_ATTACH_FLAGS_SEND,
	KDBUS_ITEM_ATTACH_FLAGS_RECV,
	KDBUS_ITEM_ID,
	KDBUS_ITEM_NAME,
	KDBUS_ITEM_DST_ID,

	/* metadata: enum kdbus_attach_flags, in the same order */
	_KDBUS_ITEM_ATTACH_BASE	= 0x1000,
	KDBUS_ITEM_TIMESTAMP	= _KDBUS_ITEM_ATTACH_BASE,
	KDBUS_ITEM_CREDS,
	KDBUS_ITEM_PIDS,
	KDBUS_ITEM_AUXGROUPS,
	KDBUS_ITEM_OWNED_NAME,
	KDBUS_ITEM_TID_COMM,
	KDBUS_ITEM_PID_COMM,
	KDBUS_ITEM_EXE,
	KDBUS_ITEM_CMDLINE,
	KDBUS_ITEM_CGROUP,
	KDBUS_ITEM_CAPS,
	KDBUS_ITEM_SECLABEL,
	KDBUS_ITEM_AUDIT,
	KDBUS_ITEM_CONN_DESCRIPTION,

	_KDBUS_ITEM_POLICY_BASE	= 0x2000,
	KDBUS_ITEM_POLICY_ACCESS = _KDBUS_ITEM_POLICY_BASE,

	/* notifications of the kernel, and match rules for them */
	_KDBUS_ITEM_KERNEL_BASE	= 0x8000,
	KDBUS_ITEM_NAME_ADD	= _KDBUS_ITEM_KERNEL_BASE,
	KDBUS_ITEM_NAME_REMOVE,
	KDBUS_ITEM_NAME_CHANGE,
	KDBUS_ITEM_ID_ADD,
	KDBUS_ITEM_ID_REMOVE,
	KDBUS_ITEM_REPLY_TIMEOUT,
	KDBUS_ITEM_REPLY_DEAD,
};

/**
 * struct kdbus_item - a typed piece of a command, message or result
 * @size:	bytes of header and payload, without the padding behind it
 * @type:	enum kdbus_item_type
 * @data:	the payload as bytes
 * @data32:	the payload as numbers
 * @data64:	the payload as numbers
 * @str:	the payload as a string
 * @id:		connection id
 * @vec:	piece of payload
 * @creds:	user and group ids
 * @pids:	process ids
 * @audit:	audit identity
 * @caps:	capabilities
 * @timestamp:	time of sending
 * @name:	well-known name and flags
 * @bloom_parameter: geometry of Bloom filters
 * @bloom_filter:	Bloom filter of a signal
 * @memfd:	payload in a file
 * @fds:	descriptors
 * @name_change:	change of a well-known name's owner
 * @id_change:	connection that came or left
 * @policy_access:	grant of a policy entry
 *
 * The next item starts at the next multiple of 8. Which member is used depends
 * on @type. The structure is as large as the largest of them; items are not:
 * their header is offsetof(struct kdbus_item, data) = 16 bytes.
 */
struct kdbus_item {
	__u64 size;
	__u64 type;
	union {
		__KDBUS_DECLARE_FLEX_ARRAY(__u8, data);
		__KDBUS_DECLARE_FLEX_ARRAY(__u32, data32);
		__KDBUS_DECLARE_FLEX_ARRAY(__u64, data64);
		__KDBUS_DECLARE_FLEX_ARRAY(char, str);

		__u64 id;
		struct kdbus_vec vec;
		struct kdbus_creds creds;
		struct kdbus_pids pids;
		struct kdbus_audit audit;
		struct kdbus_caps caps;
		struct kdbus_timestamp timestamp;
		struct kdbus_name name;
		struct kdbus_bloom_parameter bloom_parameter;
		struct kdbus_bloom_filter bloom_filter;
		struct kdbus_memfd memfd;
		__KDBUS_DECLARE_FLEX_ARRAY(int, fds);
		struct kdbus_notify_name_change name_change;
		struct kdbus_notify_id_change id_change;
		struct kdbus_policy_access policy_access;
	};
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_msg_flags - struct kdbus_msg.flags
 * @KDBUS_MSG_EXPECT_REPLY:	a call; timeout_ns is its deadline. Not with
 *				KDBUS_MSG_SIGNAL
 * @KDBUS_MSG_NO_AUTO_START:	fail with EADDRNOTAVAIL if the name is held by an
 *				activator
 * @KDBUS_MSG_SIGNAL:		a signal; needs a KDBUS_ITEM_BLOOM_FILTER, and a
 *				match at the receiver
 */
enum kdbus_msg_flags {
	KDBUS_MSG_EXPECT_REPLY	= 1ULL << 0,
	KDBUS_MSG_NO_AUTO_START	= 1ULL << 1,
	KDBUS_MSG_SIGNAL	= 1ULL << 2,
};

/**
 * enum kdbus_payload_type - what the payload is
 * @KDBUS_PAYLOAD_KERNEL:	a notification; never accepted from clients
 * @KDBUS_PAYLOAD_DBUS:		a D-Bus message; other values pass unchecked
 */
enum kdbus_payload_type {
	KDBUS_PAYLOAD_KERNEL,
	KDBUS_PAYLOAD_DBUS	= 0x4442757344427573ULL, /* "DBusDBus" */
};

/**
 * struct kdbus_msg - a message, as sent and as found in the pool
 * @size:		bytes of this header and the items; payload not included
 * @flags:		enum kdbus_msg_flags
 * @priority:		lower values are more urgent; heeded only by
 *			KDBUS_RECV_USE_PRIORITY
 * @dst_id:		receiver's id, KDBUS_DST_ID_NAME or
 *			KDBUS_DST_ID_BROADCAST; received as it was sent
 * @src_id:		sending: 0 or the own id; received: the sender's id, or
 *			KDBUS_SRC_ID_KERNEL
 * @payload_type:	enum kdbus_payload_type
 * @cookie:		number the sender gives the message; not checked. A call
 *			with 0 cannot be replied to
 * @timeout_ns:		calls: absolute CLOCK_MONOTONIC deadline, not 0
 * @cookie_reply:	others: @cookie of the call that this is a reply to, or
 *			0; must be 0 in signals
 * @items:		KDBUS_ITEM_PAYLOAD_VEC, _PAYLOAD_MEMFD, _FDS,
 *			_BLOOM_FILTER, _DST_NAME; received: the same with
 *			_PAYLOAD_OFF for _PAYLOAD_VEC, then metadata
 *
 * A reply needs no permission, but a call that waits for it; it ends the wait
 * even if it then cannot be delivered. Notifications of the kernel have one of
 * KDBUS_ITEM_NAME_ADD to KDBUS_ITEM_REPLY_DEAD, then a KDBUS_ITEM_TIMESTAMP.
 */
struct kdbus_msg {
	__u64 size;
	__u64 flags;
	__s64 priority;
	__u64 dst_id;
	__u64 src_id;
	__u64 payload_type;
	__u64 cookie;
	union {
		__u64 timeout_ns;
		__u64 cookie_reply;
	};
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_msg_info - where a received message is
 * @offset:		pool offset of its struct kdbus_msg; the pool's size if
 *			there is none
 * @msg_size:		bytes of the slice: header, items, payload, padding; 0 if
 *			there is none
 * @return_flags:	KDBUS_RECV_RETURN_INCOMPLETE_FDS or 0
 */
struct kdbus_msg_info {
	__u64 offset;
	__u64 msg_size;
	__u64 return_flags;
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_send_flags - struct kdbus_cmd_send.flags
 * @KDBUS_SEND_SYNC_REPLY:	wait for the reply to this call and return it in
 *				struct kdbus_cmd_send.reply, not in the queue
 */
enum kdbus_send_flags {
	KDBUS_SEND_SYNC_REPLY	= 1ULL << 0,
};

/**
 * struct kdbus_cmd_send - argument of KDBUS_CMD_SEND
 * @size:		bytes of the command including @items
 * @flags:		enum kdbus_send_flags
 * @return_flags:	set by the kernel, 0
 * @msg_address:	address of the struct kdbus_msg to send, a multiple of 8.
 *			0 is for negotiation, which then leaves the message out
 * @reply:		set on success: the reply of a synchronous call, to be
 *			freed by the caller, else "none"
 * @items:		KDBUS_ITEM_CANCEL_FD
 */
struct kdbus_cmd_send {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 msg_address;
	struct kdbus_msg_info reply;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_recv_flags - struct kdbus_cmd_recv.flags
 * @KDBUS_RECV_PEEK:		leave the message in the queue; its descriptors
 *				are -1. No effect with KDBUS_RECV_DROP
 * @KDBUS_RECV_DROP:		discard the oldest message unseen; who waits for
 *				a reply to it is told
 * @KDBUS_RECV_USE_PRIORITY:	take the message with the lowest priority value
 *				if that is not above the command's, the oldest of
 *				several. Not with KDBUS_RECV_DROP
 *
 * Without flags the oldest message is taken.
 */
enum kdbus_recv_flags {
	KDBUS_RECV_PEEK		= 1ULL << 0,
	KDBUS_RECV_DROP		= 1ULL << 1,
	KDBUS_RECV_USE_PRIORITY	= 1ULL << 2,
};

/**
 * enum kdbus_recv_return_flags - what RECV reports besides the message
 * @KDBUS_RECV_RETURN_INCOMPLETE_FDS:	in kdbus_msg_info.return_flags: not
 *					every descriptor could be installed
 * @KDBUS_RECV_RETURN_DROPPED_MSGS:	in kdbus_cmd_recv.return_flags:
 *					dropped_msgs is not 0
 */
enum kdbus_recv_return_flags {
	KDBUS_RECV_RETURN_INCOMPLETE_FDS	= 1ULL << 0,
	KDBUS_RECV_RETURN_DROPPED_MSGS		= 1ULL << 1,
};

/**
 * struct kdbus_cmd_recv - argument of KDBUS_CMD_RECV
 * @size:		bytes of the command including @items
 * @flags:		enum kdbus_recv_flags
 * @return_flags:	set by the kernel: KDBUS_RECV_RETURN_DROPPED_MSGS or 0
 * @priority:		bound for KDBUS_RECV_USE_PRIORITY
 * @dropped_msgs:	set on success and EAGAIN: messages that were lost for
 *			lack of room since this was last told; the count begins
 *			anew
 * @msg:		set on success and EAGAIN: the message, to be freed by
 *			the caller
 * @items:		none so far
 */
struct kdbus_cmd_recv {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__s64 priority;
	__u64 dropped_msgs;
	struct kdbus_msg_info msg;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_cmd_free - argument of KDBUS_CMD_FREE
 * @size:		bytes of the command including @items
 * @flags:		none so far
 * @return_flags:	set by the kernel, 0
 * @offset:		pool offset of the slice to give back; the pool's size,
 *			which stands for an empty result, has no effect
 * @items:		none so far
 */
struct kdbus_cmd_free {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 offset;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_hello_flags - what kind of connection HELLO makes
 * @KDBUS_HELLO_ACCEPT_FD:	messages with descriptors may be sent to it
 * @KDBUS_HELLO_ACTIVATOR:	it holds a name for a service not yet running,
 *				receives messages to that name, and hands them
 *				over to whoever acquires it
 * @KDBUS_HELLO_POLICY_HOLDER:	it holds a policy entry, and neither sends nor
 *				receives
 * @KDBUS_HELLO_MONITOR:	it receives a copy of everything, is visible to
 *				nobody and cannot send
 *
 * At most one of the last three, which are for the owner of the bus: who opened
 * its endpoint "bus" with the effective user id that made the bus, or with
 * CAP_IPC_OWNER. Without, a connection is an ordinary one.
 */
enum kdbus_hello_flags {
	KDBUS_HELLO_ACCEPT_FD		= 1ULL << 0,
	KDBUS_HELLO_ACTIVATOR		= 1ULL << 1,
	KDBUS_HELLO_POLICY_HOLDER	= 1ULL << 2,
	KDBUS_HELLO_MONITOR		= 1ULL << 3,
};

/**
 * struct kdbus_cmd_hello - argument of KDBUS_CMD_HELLO
 * @size:		bytes of the command including @items
 * @flags:		enum kdbus_hello_flags
 * @return_flags:	set by the kernel, 0
 * @attach_flags_send:	enum kdbus_attach_flags others may see of this connection
 * @attach_flags_recv:	enum kdbus_attach_flags wanted on received messages
 * @bus_flags:		set by the kernel: enum kdbus_make_flags of the bus
 * @id:			set by the kernel: id of the connection
 * @pool_size:		bytes of the pool, a multiple of the page size and not 0.
 *			Unread messages can take half of it, those of one sending
 *			user a third of that at most
 * @offset:		set by the kernel: pool offset of the result, a
 *			KDBUS_ITEM_BLOOM_PARAMETER, to be freed by the caller
 * @items_size:		set by the kernel: bytes of these items
 * @id128:		set by the kernel: UUID of the bus
 * @items:		KDBUS_ITEM_CONN_DESCRIPTION; KDBUS_ITEM_NAME, mandatory for
 *			activators and policy holders and for nobody else;
 *			KDBUS_ITEM_POLICY_ACCESS behind it, any number;
 *			KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS and KDBUS_ITEM_SECLABEL,
 *			for the owner of the bus
 *
 * Members are set on success only; the others keep their values, so the same
 * structure can be used again. With any of the last three items, these are all
 * the metadata of a process that KDBUS_CMD_CONN_INFO tells, and messages carry
 * none.
 */
struct kdbus_cmd_hello {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 attach_flags_send;
	__u64 attach_flags_recv;
	__u64 bus_flags;
	__u64 id;
	__u64 pool_size;
	__u64 offset;
	__u64 items_size;
	__u8 id128[16];
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_info - a connection (or bus), as found in the pool
 * @size:	bytes of this record including @items; the next one of
 *		KDBUS_CMD_LIST begins behind it
 * @id:		connection id; bus id for KDBUS_CMD_BUS_CREATOR_INFO
 * @flags:	enum kdbus_hello_flags; enum kdbus_make_flags for
 *		KDBUS_CMD_BUS_CREATOR_INFO
 * @items:	metadata, after KDBUS_ITEM_MAKE_NAME in case of
 *		KDBUS_CMD_BUS_CREATOR_INFO; one KDBUS_ITEM_OWNED_NAME or none in
 *		case of KDBUS_CMD_LIST
 */
struct kdbus_info {
	__u64 size;
	__u64 id;
	__u64 flags;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_list_flags - what KDBUS_CMD_LIST lists
 * @KDBUS_LIST_UNIQUE:		connections of which nothing else is listed
 * @KDBUS_LIST_NAMES:		well-known names and their owners
 * @KDBUS_LIST_ACTIVATORS:	names of activators, held or waited for
 * @KDBUS_LIST_QUEUED:		names and connections that wait for them
 *
 * There is a record for each name, and one without item for a connection that
 * has no name that is listed. Monitors are left out.
 */
enum kdbus_list_flags {
	KDBUS_LIST_UNIQUE	= 1ULL << 0,
	KDBUS_LIST_NAMES	= 1ULL << 1,
	KDBUS_LIST_ACTIVATORS	= 1ULL << 2,
	KDBUS_LIST_QUEUED	= 1ULL << 3,
};

/**
 * struct kdbus_cmd_list - argument of KDBUS_CMD_LIST
 * @size:		bytes of the command including @items
 * @flags:		enum kdbus_list_flags
 * @return_flags:	set by the kernel, 0
 * @offset:		set by the kernel: pool offset of the first struct
 *			kdbus_info, to be freed by the caller; the pool's size if
 *			there is none
 * @list_size:		set by the kernel: bytes of all records; 0 if there is
 *			none
 * @items:		none so far
 */
struct kdbus_cmd_list {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 offset;
	__u64 list_size;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_cmd_info - argument of KDBUS_CMD_CONN_INFO and
 *			   KDBUS_CMD_BUS_CREATOR_INFO
 * @size:		bytes of the command including @items
 * @flags:		none so far
 * @return_flags:	set by the kernel, 0
 * @id:			connection id, or 0 to look a name up; not used by
 *			KDBUS_CMD_BUS_CREATOR_INFO
 * @attach_flags:	enum kdbus_attach_flags wanted
 * @offset:		set by the kernel: pool offset of a struct kdbus_info,
 *			to be freed by the caller
 * @info_size:		set by the kernel: bytes of that record
 * @items:		KDBUS_ITEM_NAME, for KDBUS_CMD_CONN_INFO; if @id is given as
 *			well, both must mean the same connection
 */
struct kdbus_cmd_info {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 id;
	__u64 attach_flags;
	__u64 offset;
	__u64 info_size;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_cmd_match_flags - struct kdbus_cmd_match.flags
 * @KDBUS_MATCH_REPLACE:	first remove the matches with the same cookie
 */
enum kdbus_cmd_match_flags {
	KDBUS_MATCH_REPLACE	= 1ULL << 0,
};

/**
 * struct kdbus_cmd_match - argument of KDBUS_CMD_MATCH_ADD and _REMOVE
 * @size:		bytes of the command including @items
 * @flags:		enum kdbus_cmd_match_flags; none for _REMOVE
 * @return_flags:	set by the kernel, 0
 * @cookie:		label of the match, any number; several may have the same
 * @items:		rules, any number of each, all of which must pass:
 *			KDBUS_ITEM_BLOOM_MASK, _ID, _NAME and _DST_ID for signals
 *			of connections; _NAME_ADD, _NAME_REMOVE, _NAME_CHANGE,
 *			_ID_ADD and _ID_REMOVE for notifications of the kernel.
 *			Without rules everything passes. None for _REMOVE
 */
struct kdbus_cmd_match {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 cookie;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_make_flags - how a bus or endpoint is made
 * @KDBUS_MAKE_ACCESS_GROUP:	the maker's effective group may open the node
 * @KDBUS_MAKE_ACCESS_WORLD:	everybody may open the node
 * @KDBUS_MAKE_ALLOW_UNIX_FDS:	messages may carry AF_UNIX sockets, of which a
 *				user may have 64 on their way. For
 *				KDBUS_CMD_BUS_MAKE only; not in 2015's interface,
 *				found by negotiation
 *
 * The node belongs to the maker's effective user and group.
 */
enum kdbus_make_flags {
	KDBUS_MAKE_ACCESS_GROUP		= 1ULL << 0,
	KDBUS_MAKE_ACCESS_WORLD		= 1ULL << 1,
	KDBUS_MAKE_ALLOW_UNIX_FDS	= 1ULL << 2,
};

/**
 * enum kdbus_name_flags - how a connection holds a well-known name
 * @KDBUS_NAME_REPLACE_EXISTING:	asked: take it from an owner that allows it
 * @KDBUS_NAME_ALLOW_REPLACEMENT:	asked and reported: let others take it
 * @KDBUS_NAME_QUEUE:			asked and reported: wait for it if it is
 *					taken, now or later
 * @KDBUS_NAME_IN_QUEUE:		reported: waiting
 * @KDBUS_NAME_ACTIVATOR:		reported: by an activator
 * @KDBUS_NAME_PRIMARY:			reported: owned
 * @KDBUS_NAME_ACQUIRED:		reported by KDBUS_CMD_NAME_ACQUIRE alone:
 *					it was neither owned nor waited for
 *					before, or became owned
 *
 * One of KDBUS_NAME_IN_QUEUE and KDBUS_NAME_PRIMARY is reported for each holder.
 */
enum kdbus_name_flags {
	KDBUS_NAME_REPLACE_EXISTING	= 1ULL << 0,
	KDBUS_NAME_ALLOW_REPLACEMENT	= 1ULL << 1,
	KDBUS_NAME_QUEUE		= 1ULL << 2,
	KDBUS_NAME_IN_QUEUE		= 1ULL << 3,
	KDBUS_NAME_ACTIVATOR		= 1ULL << 4,
	KDBUS_NAME_PRIMARY		= 1ULL << 5,
	KDBUS_NAME_ACQUIRED		= 1ULL << 6,
};

/**
 * struct kdbus_cmd - argument of the commands without fields of their own
 * @size:		bytes of the command including @items
 * @flags:		of the command, as stated there
 * @return_flags:	set by the kernel: enum kdbus_name_flags in case of
 *			KDBUS_CMD_NAME_ACQUIRE, else 0
 * @items:		of the command, as stated there
 */
struct kdbus_cmd {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__KDBUS_DECLARE_FLEX_ARRAY(struct kdbus_item, items);
} __attribute__((__aligned__(8)));

/*
 * Limits. All are inclusive, and nobody is exempt. A user is a real user id, on
 * all buses; or all connections of a custom endpoint together.
 */
/* Longest name of a bus or endpoint and longest connection description: ENAMETOOLONG. */
#define KDBUS_SYSNAME_MAX_LEN		63
/* Longest well-known name, in bytes without NUL: EINVAL. */
#define KDBUS_NAME_MAX_LEN		255
/* Largest command, and largest message header with its items: EMSGSIZE. */
#define KDBUS_CMD_MAX_SIZE		32768
/* Historical; not enforced. */
#define KDBUS_MSG_MAX_SIZE		8192
/* Largest Bloom filter: EINVAL. */
#define KDBUS_BUS_BLOOM_MAX_SIZE	4096
/* Per user: buses and connections: EMFILE. */
#define KDBUS_USER_MAX_BUSES		16
#define KDBUS_USER_MAX_CONN		1024
/* Per connection: names held or waited for (E2BIG), matches (EMFILE), open calls (EMLINK). */
#define KDBUS_CONN_MAX_NAMES		256
#define KDBUS_MATCH_MAX			256
#define KDBUS_CONN_MAX_REQUESTS_PENDING	128
/*
 * Per receiver and sending user: unread messages (ENOBUFS) and descriptors
 * (EMFILE); the latter is also the limit of one message.
 */
#define KDBUS_CONN_MAX_MSGS		256
#define KDBUS_CONN_MAX_FDS_PER_USER	16
/* Per message: memfd items (E2BIG); bytes of one vector (EMSGSIZE). */
#define KDBUS_MSG_MAX_MEMFD_ITEMS	16
#define KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE	(2 * 1024 * 1024)

/*
 * Commands, with their errors in the order of checks, after those that all have
 * (at the top of this file). The direction bits of the numbers are part of the
 * ABI but carry no meaning: each command is read, and at least its return_flags
 * is written.
 */

/*
 * Make a bus; the handle, of the control node, becomes its owner. The bus ends
 * when that is closed. Anybody may.
 * Flags: enum kdbus_make_flags. Items: KDBUS_ITEM_MAKE_NAME and
 * KDBUS_ITEM_BLOOM_PARAMETER, mandatory; KDBUS_ITEM_ATTACH_FLAGS_SEND, for
 * KDBUS_CMD_BUS_CREATOR_INFO, default none.
 * EINVAL: bad Bloom parameters, attach flags, or prefix of the name
 * EEXIST: the name is in use; EMFILE: the user has KDBUS_USER_MAX_BUSES
 */
#define KDBUS_CMD_BUS_MAKE		_IOW(KDBUS_IOCTL_MAGIC, 0x00, struct kdbus_cmd)

/*
 * Make a custom endpoint; the handle, of the endpoint "bus", becomes its owner.
 * The endpoint ends when that is closed. For the owner of the bus. At first its
 * policy denies everything.
 * Flags: KDBUS_MAKE_ACCESS_GROUP, KDBUS_MAKE_ACCESS_WORLD. Items:
 * KDBUS_ITEM_MAKE_NAME, mandatory.
 * EPERM: not the owner of the bus (before the argument is read)
 * EINVAL: bad prefix of the name; EEXIST: the name is in use
 */
#define KDBUS_CMD_ENDPOINT_MAKE		_IOW(KDBUS_IOCTL_MAGIC, 0x10, struct kdbus_cmd)

/*
 * Replace the policy of the custom endpoint that the handle owns.
 * No flags. Items: KDBUS_ITEM_NAME, any number, "a.b.*" allowed, each followed by
 * KDBUS_ITEM_POLICY_ACCESS, any number.
 * EINVAL: a grant before the first name; a bad name or grant
 * EEXIST: the same name twice
 */
#define KDBUS_CMD_ENDPOINT_UPDATE	_IOW(KDBUS_IOCTL_MAGIC, 0x11, struct kdbus_cmd)

/*
 * Connect: the handle, of any endpoint, becomes a connection.
 * EINVAL: bad pool_size, flags, or KDBUS_ITEM_NAME
 * EOPNOTSUPP: a monitor on a custom endpoint
 * EPERM: not the owner of the bus, but special flags or items that are for it
 * EINVAL: bad attach flags; ENOMEM, EINVAL: no such pool can be made
 * EINVAL: an id that was given does not exist
 * EMFILE: the user has KDBUS_USER_MAX_CONN; ESHUTDOWN: the endpoint has ended
 * EEXIST: the name has an activator; EINVAL: bad grant
 * EEXIST: the name has a policy entry
 */
#define KDBUS_CMD_HELLO			_IOWR(KDBUS_IOCTL_MAGIC, 0x80, struct kdbus_cmd_hello)

/*
 * Change a connection.
 * No flags. Items: KDBUS_ITEM_ATTACH_FLAGS_SEND, for ordinary connections and
 * monitors; KDBUS_ITEM_ATTACH_FLAGS_RECV, for those and activators; for policy
 * holders a KDBUS_ITEM_NAME, followed by KDBUS_ITEM_POLICY_ACCESS, any number.
 * EOPNOTSUPP: an item for other kinds of connection; EINVAL: bad attach flags
 * E2BIG: more than one name; EINVAL: a grant before the name, bad name or grant
 * EEXIST: somebody else has a policy entry for the name
 */
#define KDBUS_CMD_UPDATE		_IOW(KDBUS_IOCTL_MAGIC, 0x81, struct kdbus_cmd)

/*
 * End an ordinary connection, unless messages are queued for it. The handle stays
 * of no use; the pool can still be read.
 * No flags, no items.
 * EBUSY: messages are queued
 */
#define KDBUS_CMD_BYEBYE		_IOW(KDBUS_IOCTL_MAGIC, 0x82, struct kdbus_cmd)

/*
 * Give a slice of the pool back. For all connections but policy holders. A message
 * that was peeked stays in the queue.
 * No flags, no items.
 * ENXIO: not the offset of a slice that was given out
 */
#define KDBUS_CMD_FREE			_IOW(KDBUS_IOCTL_MAGIC, 0x83, struct kdbus_cmd_free)

/*
 * Tell about a connection. For any connection.
 * No flags. Items: KDBUS_ITEM_NAME.
 * EINVAL: bad attach flags; neither id nor name
 * ENXIO: no connection of that id; ESRCH: no owner of that name, or not that id.
 * On custom endpoints also if its policy hides them
 * EXFULL: no room in the pool
 */
#define KDBUS_CMD_CONN_INFO		_IOR(KDBUS_IOCTL_MAGIC, 0x84, struct kdbus_cmd_info)

/*
 * Tell about the maker of the bus. For any connection.
 * No flags, no items.
 * EINVAL: bad attach flags; EXFULL: no room in the pool
 */
#define KDBUS_CMD_BUS_CREATOR_INFO	_IOR(KDBUS_IOCTL_MAGIC, 0x85, struct kdbus_cmd_info)

/*
 * List connections and names. For any connection.
 * Flags: enum kdbus_list_flags. No items.
 * EXFULL: no room in the pool
 */
#define KDBUS_CMD_LIST			_IOR(KDBUS_IOCTL_MAGIC, 0x86, struct kdbus_cmd_list)

/*
 * Send a message. For ordinary connections. When it returns, the message is in the
 * receiver's queue; a signal is sent successfully whatever becomes of it.
 * The message: as for commands; EBADF, EINVAL: bad KDBUS_ITEM_CANCEL_FD
 * EINVAL: src_id, payload_type; EBADMSG, ENOTUNIQ: a broadcast that is no signal,
 *   is a reply, or has a timeout; EINVAL: no timeout; ENOTUNIQ: a signal that
 *   expects a reply; EINVAL: KDBUS_SEND_SYNC_REPLY without a call, a signal that is
 *   a reply
 * EMSGSIZE, EFAULT, E2BIG, EMFILE, EDOM, EINVAL, EBADMSG: a bad item
 * EBADMSG: signal without Bloom filter or the reverse; EDESTADDRREQ: no
 *   destination; ENOTUNIQ: descriptors in a broadcast
 * EBADF, EOPNOTSUPP, EMFILE: bad descriptor; EBADF, EMEDIUMTYPE, ETXTBSY, EFAULT:
 *   bad memfd
 * ETIMEDOUT: synchronous, and the deadline is over
 * ESRCH, EREMCHG, EADDRNOTAVAIL: name; ENXIO: id; EBADSLT: nobody waits for the
 *   reply; EPERM: policy; EMLINK: KDBUS_CONN_MAX_REQUESTS_PENDING
 * ECONNRESET: receiver leaves; ECOMM: it accepts no descriptors; ENOBUFS, EMFILE:
 *   quota; EXFULL: no room in its pool; EFAULT: payload unreadable
 * Waiting for a reply: ECONNRESET, EREMOTEIO (it had descriptors), what the replier
 *   got, EPIPE (the receiver left or discarded the call), ECANCELED, EINTR (send
 *   again with the same cookie to go on waiting), ETIMEDOUT
 */
#define KDBUS_CMD_SEND			_IOW(KDBUS_IOCTL_MAGIC, 0x90, struct kdbus_cmd_send)

/*
 * Take a message from the queue. For all connections but policy holders. Never
 * blocks; poll() reports POLLIN when there is something.
 * Flags: enum kdbus_recv_flags. No items.
 * EINVAL: KDBUS_RECV_DROP with KDBUS_RECV_USE_PRIORITY; EAGAIN: no such message
 */
#define KDBUS_CMD_RECV			_IOR(KDBUS_IOCTL_MAGIC, 0x91, struct kdbus_cmd_recv)

/*
 * Ask for a well-known name. For ordinary connections. 0 alone does not mean that
 * it is owned: see return_flags.
 * Flags: KDBUS_NAME_REPLACE_EXISTING, KDBUS_NAME_ALLOW_REPLACEMENT,
 * KDBUS_NAME_QUEUE. Items: KDBUS_ITEM_NAME, mandatory.
 * EINVAL: not a valid name; EPERM: policy; E2BIG: KDBUS_CONN_MAX_NAMES
 * EEXIST: another owner (return_flags is set)
 */
#define KDBUS_CMD_NAME_ACQUIRE		_IOW(KDBUS_IOCTL_MAGIC, 0xa0, struct kdbus_cmd)

/*
 * Give a well-known name up, or the place in its queue. For ordinary connections.
 * No flags. Items: KDBUS_ITEM_NAME, mandatory.
 * ESRCH: nobody has the name; EADDRINUSE: others have it
 */
#define KDBUS_CMD_NAME_RELEASE		_IOW(KDBUS_IOCTL_MAGIC, 0xa1, struct kdbus_cmd)

/*
 * Add a match. For ordinary connections.
 * EDOM: size of a mask; EINVAL: bad KDBUS_ITEM_NAME; EMFILE: KDBUS_MATCH_MAX
 */
#define KDBUS_CMD_MATCH_ADD		_IOW(KDBUS_IOCTL_MAGIC, 0xb0, struct kdbus_cmd_match)

/*
 * Remove all matches of this connection with a cookie. For ordinary connections.
 * No flags, no items.
 * EBADSLT: there is none
 */
#define KDBUS_CMD_MATCH_REMOVE		_IOW(KDBUS_IOCTL_MAGIC, 0xb1, struct kdbus_cmd_match)

#endif /* _UAPI_LINUX_KDBUS_H_ */
