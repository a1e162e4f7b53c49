/* SPDX-License-Identifier: LGPL-2.1-or-later WITH Linux-syscall-note */
/*
 * kdbus - the kernel's D-Bus: user-space interface
 *
 * Programs reach a bus through the character devices below /dev/kdbus/. Each
 * open file is a handle; one setup ioctl (BUS_MAKE or HELLO) fixes its role.
 *
 * Conventions
 *   - Sizes and offsets are in bytes; integers are in the host's byte order.
 *   - All structures have the same layout for 32-bit and 64-bit programs.
 *   - Command structures and items start on 8-byte boundaries. The size field
 *     of an item counts its header and payload, not the padding behind it.
 *   - Every command returns 0, or -1 with errno set.
 */
#ifndef _UAPI_LINUX_KDBUS_H_
#define _UAPI_LINUX_KDBUS_H_

#include <linux/ioctl.h>
#include <linux/types.h>

#define KDBUS_IOCTL_MAGIC		0x95

/* Source id of notifications the kernel itself sends. */
#define KDBUS_SRC_ID_KERNEL		(0)
/* Destination id that means: the name in KDBUS_ITEM_DST_NAME decides. */
#define KDBUS_DST_ID_NAME		(0)
/* Wildcard for ids in match rules. */
#define KDBUS_MATCH_ID_ANY		(~0ULL)
/* Destination id of a broadcast. */
#define KDBUS_DST_ID_BROADCAST		(~0ULL)
/* Ask which flags a command or message knows, and do nothing else. */
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
	char name[0];
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
 * is not mapped there, 0xffffffff for one that is unknown.
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
 * Ids are those of the reader's pid namespace, 0 if not visible there.
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
 *		last_cap / 32 + 1 words, low word first
 */
struct kdbus_caps {
	__u32 last_cap;
	__u32 caps[0];
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_audit - audit identity of a process
 * @sessionid:	audit session
 * @loginuid:	user id at login, 0xffffffff if unset
 */
struct kdbus_audit {
	__u32 sessionid;
	__u32 loginuid;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_timestamp - when a message was sent
 * @seqnum:		number of the message on its bus
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
 * @size:	bytes, 1 to 2 MiB
 * @address:	where the sender has it; 0 for @size zero bytes
 * @offset:	where the receiver finds it, relative to its struct kdbus_msg;
 *		~0 for @size zero bytes
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
 * @n_hash:	number of hash functions; of meaning to user space alone
 */
struct kdbus_bloom_parameter {
	__u64 size;
	__u64 n_hash;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_bloom_filter - what a signal is about
 * @generation:	selects the mask of a match rule that carries several
 * @data:	the filter's bits
 */
struct kdbus_bloom_filter {
	__u64 generation;
	__u64 data[0];
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_memfd - payload in a sealed memory file
 * @start:	first byte of the payload in the file
 * @size:	bytes of payload
 * @fd:		descriptor of the file; -1 if it could not be installed
 * @__pad:	passed through unchanged
 */
struct kdbus_memfd {
	__u64 start;
	__u64 size;
	int fd;
	__u32 __pad;
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_name - a well-known name somebody holds
 * @flags:	KDBUS_NAME_*
 * @name:	the name, NUL-terminated
 */
struct kdbus_name {
	__u64 flags;
	char name[0];
} __attribute__((__aligned__(8)));

/* Who a policy entry is for. */
enum kdbus_policy_access_type {
	_KDBUS_POLICY_ACCESS_NULL,
	KDBUS_POLICY_ACCESS_USER,
	KDBUS_POLICY_ACCESS_GROUP,
	KDBUS_POLICY_ACCESS_WORLD,
};

/* What a policy entry allows; each includes those before it. */
enum kdbus_policy_access_flags {
	KDBUS_POLICY_SEE,
	KDBUS_POLICY_TALK,
	KDBUS_POLICY_OWN,
};

/**
 * struct kdbus_policy_access - one grant of a policy entry
 * @type:	KDBUS_POLICY_ACCESS_*: to whom
 * @access:	KDBUS_POLICY_*: what
 * @id:		user or group id; ignored for KDBUS_POLICY_ACCESS_WORLD
 */
struct kdbus_policy_access {
	__u64 type;
	__u64 access;
	__u64 id;
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_attach_flags - metadata a receiver may ask for
 *
 * Bit n asks for the item of type _KDBUS_ITEM_ATTACH_BASE + n.
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
 *
 * The member of struct kdbus_item that holds the payload is named behind each.
 */
enum kdbus_item_type {
	_KDBUS_ITEM_NULL,
	_KDBUS_ITEM_USER_BASE,
	KDBUS_ITEM_NEGOTIATE	= _KDBUS_ITEM_USER_BASE,	/* data64 */
	KDBUS_ITEM_PAYLOAD_VEC,					/* vec */
	KDBUS_ITEM_PAYLOAD_OFF,					/* vec */
	KDBUS_ITEM_PAYLOAD_MEMFD,				/* memfd */
	KDBUS_ITEM_FDS,						/* fds */
	KDBUS_ITEM_CANCEL_FD,					/* fds */
	KDBUS_ITEM_BLOOM_PARAMETER,				/* bloom_parameter */
	KDBUS_ITEM_BLOOM_FILTER,				/* bloom_filter */
	KDBUS_ITEM_BLOOM_MASK,					/* data64 */
	KDBUS_ITEM_DST_NAME,					/* str */
	KDBUS_ITEM_MAKE_NAME,					/* str */
	KDBUS_ITEM_ATTACH_FLAGS_SEND,				/* data64 */
	KDBUS_ITEM_ATTACH_FLAGS_RECV,				/* data64 */
	KDBUS_ITEM_ID,						/* id */
	KDBUS_ITEM_NAME,					/* str */
	KDBUS_ITEM_DST_ID,					/* id */

	/* metadata: enum kdbus_attach_flags, in the same order */
	_KDBUS_ITEM_ATTACH_BASE	= 0x1000,
	KDBUS_ITEM_TIMESTAMP	= _KDBUS_ITEM_ATTACH_BASE,	/* timestamp */
	KDBUS_ITEM_CREDS,					/* creds */
	KDBUS_ITEM_PIDS,					/* pids */
	KDBUS_ITEM_AUXGROUPS,					/* data64 */
	KDBUS_ITEM_OWNED_NAME,					/* name */
	KDBUS_ITEM_TID_COMM,					/* str */
	KDBUS_ITEM_PID_COMM,					/* str */
	KDBUS_ITEM_EXE,						/* str */
	KDBUS_ITEM_CMDLINE,					/* str */
	KDBUS_ITEM_CGROUP,					/* str */
	KDBUS_ITEM_CAPS,					/* caps */
	KDBUS_ITEM_SECLABEL,					/* str */
	KDBUS_ITEM_AUDIT,					/* audit */
	KDBUS_ITEM_CONN_DESCRIPTION,				/* str */

	_KDBUS_ITEM_POLICY_BASE	= 0x2000,
	KDBUS_ITEM_POLICY_ACCESS = _KDBUS_ITEM_POLICY_BASE,	/* policy_access */

	/* notifications of the kernel, and match rules for them */
	_KDBUS_ITEM_KERNEL_BASE	= 0x8000,
	KDBUS_ITEM_NAME_ADD	= _KDBUS_ITEM_KERNEL_BASE,	/* name_change */
	KDBUS_ITEM_NAME_REMOVE,					/* name_change */
	KDBUS_ITEM_NAME_CHANGE,					/* name_change */
	KDBUS_ITEM_ID_ADD,					/* id_change */
	KDBUS_ITEM_ID_REMOVE,					/* id_change */
	KDBUS_ITEM_REPLY_TIMEOUT,				/* no payload */
	KDBUS_ITEM_REPLY_DEAD,					/* no payload */
};

/**
 * struct kdbus_item - a typed piece of a command, message or result
 * @size:	bytes of header and payload, without the padding behind it
 * @type:	enum kdbus_item_type
 * @data:	the payload as bytes; the other members are its typed forms
 *
 * The next item starts at the next multiple of 8.
 */
struct kdbus_item {
	__u64 size;
	__u64 type;
	union {
		__u8 data[0];
		__u32 data32[0];
		__u64 data64[0];
		char str[0];

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
		int fds[0];
		struct kdbus_notify_name_change name_change;
		struct kdbus_notify_id_change id_change;
		struct kdbus_policy_access policy_access;
	};
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_msg_flags - struct kdbus_msg.flags
 * @KDBUS_MSG_EXPECT_REPLY:	a call; timeout_ns is its deadline
 * @KDBUS_MSG_NO_AUTO_START:	do not wake an activator for this
 * @KDBUS_MSG_SIGNAL:		a signal; needs a KDBUS_ITEM_BLOOM_FILTER
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
 * @priority:		lower values are more urgent
 * @dst_id:		receiver; KDBUS_DST_ID_NAME or KDBUS_DST_ID_BROADCAST
 * @src_id:		sender; set by the kernel (0 or the own id when sending)
 * @payload_type:	enum kdbus_payload_type
 * @cookie:		number the sender gives the message
 * @timeout_ns:		calls: absolute CLOCK_MONOTONIC deadline, not 0
 * @cookie_reply:	replies: @cookie of the call
 * @items:		payload and more
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
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_msg_info - where a received message is
 * @offset:		pool offset of its struct kdbus_msg; the pool's size if
 *			there is none
 * @msg_size:		bytes of the slice: header, items, payload, padding
 * @return_flags:	KDBUS_RECV_RETURN_INCOMPLETE_FDS or 0
 */
struct kdbus_msg_info {
	__u64 offset;
	__u64 msg_size;
	__u64 return_flags;
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_send_flags - struct kdbus_cmd_send.flags
 * @KDBUS_SEND_SYNC_REPLY:	wait for the reply and return it in
 *				struct kdbus_cmd_send.reply
 */
enum kdbus_send_flags {
	KDBUS_SEND_SYNC_REPLY	= 1ULL << 0,
};

/**
 * struct kdbus_cmd_send - argument of KDBUS_CMD_SEND
 * @size:		bytes of the command including @items
 * @flags:		enum kdbus_send_flags
 * @return_flags:	set by the kernel, 0
 * @msg_address:	address of the struct kdbus_msg to send
 * @reply:		the reply of a synchronous call, else "none"
 * @items:		KDBUS_ITEM_CANCEL_FD
 */
struct kdbus_cmd_send {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 msg_address;
	struct kdbus_msg_info reply;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_recv_flags - struct kdbus_cmd_recv.flags
 * @KDBUS_RECV_PEEK:		leave the message in the queue
 * @KDBUS_RECV_DROP:		discard the oldest message unseen
 * @KDBUS_RECV_USE_PRIORITY:	take the most urgent message whose priority
 *				value is not above the command's
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
 * @dropped_msgs:	set by the kernel: messages lost since the last RECV
 * @msg:		set by the kernel: the message
 * @items:		none so far
 */
struct kdbus_cmd_recv {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__s64 priority;
	__u64 dropped_msgs;
	struct kdbus_msg_info msg;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_cmd_free - argument of KDBUS_CMD_FREE
 * @size:		bytes of the command including @items
 * @flags:		none so far
 * @return_flags:	set by the kernel, 0
 * @offset:		pool offset of the slice to give back
 * @items:		none so far
 */
struct kdbus_cmd_free {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 offset;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_hello_flags - what kind of connection HELLO makes
 * @KDBUS_HELLO_ACCEPT_FD:	descriptors may be passed to it
 * @KDBUS_HELLO_ACTIVATOR:	it holds a name for a service not yet running
 * @KDBUS_HELLO_POLICY_HOLDER:	it holds a policy entry
 * @KDBUS_HELLO_MONITOR:	it sees all traffic
 *
 * At most one of the last three.
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
 * @attach_flags_send:	metadata others may see of this connection
 * @attach_flags_recv:	metadata wanted on received messages
 * @bus_flags:		set by the kernel: enum kdbus_make_flags of the bus
 * @id:			set by the kernel: id of the connection
 * @pool_size:		bytes of the pool, a multiple of the page size
 * @offset:		set by the kernel: pool offset of the result's items,
 *			to be freed by the caller
 * @items_size:		set by the kernel: bytes of these items
 * @id128:		set by the kernel: UUID of the bus
 * @items:		KDBUS_ITEM_CONN_DESCRIPTION and more
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
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_info - a connection (or bus), as found in the pool
 * @size:	bytes of this record including @items
 * @id:		connection id; bus id for KDBUS_CMD_BUS_CREATOR_INFO
 * @flags:	enum kdbus_hello_flags; enum kdbus_make_flags for
 *		KDBUS_CMD_BUS_CREATOR_INFO
 * @items:	metadata
 */
struct kdbus_info {
	__u64 size;
	__u64 id;
	__u64 flags;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_list_flags - what KDBUS_CMD_LIST lists
 * @KDBUS_LIST_UNIQUE:		connections
 * @KDBUS_LIST_NAMES:		well-known names and their owners
 * @KDBUS_LIST_ACTIVATORS:	names held by activators
 * @KDBUS_LIST_QUEUED:		connections waiting for names
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
 * @offset:		set by the kernel: pool offset of an array of
 *			struct kdbus_info, to be freed by the caller
 * @list_size:		set by the kernel: bytes of the array
 * @items:		none so far
 */
struct kdbus_cmd_list {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 offset;
	__u64 list_size;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * struct kdbus_cmd_info - argument of KDBUS_CMD_CONN_INFO and
 *			   KDBUS_CMD_BUS_CREATOR_INFO
 * @size:		bytes of the command including @items
 * @flags:		none so far
 * @return_flags:	set by the kernel, 0
 * @id:			connection id, or 0 to look a name up
 * @attach_flags:	metadata wanted
 * @offset:		set by the kernel: pool offset of a struct kdbus_info,
 *			to be freed by the caller
 * @info_size:		set by the kernel: bytes of that record
 * @items:		KDBUS_ITEM_NAME
 */
struct kdbus_cmd_info {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 id;
	__u64 attach_flags;
	__u64 offset;
	__u64 info_size;
	struct kdbus_item items[0];
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
 * @cookie:		label of the match
 * @items:		rules, all of which must pass
 */
struct kdbus_cmd_match {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	__u64 cookie;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/**
 * enum kdbus_make_flags - who may open the node BUS_MAKE creates
 * @KDBUS_MAKE_ACCESS_GROUP:	the creator's group
 * @KDBUS_MAKE_ACCESS_WORLD:	everybody
 * @KDBUS_MAKE_ALLOW_UNIX_FDS:	messages may carry AF_UNIX sockets; BUS_MAKE
 *				only, and only where negotiation reports it
 */
enum kdbus_make_flags {
	KDBUS_MAKE_ACCESS_GROUP		= 1ULL << 0,
	KDBUS_MAKE_ACCESS_WORLD		= 1ULL << 1,
	KDBUS_MAKE_ALLOW_UNIX_FDS	= 1ULL << 2,
};

/**
 * enum kdbus_name_flags - how a connection holds a well-known name
 * @KDBUS_NAME_REPLACE_EXISTING:	take it from an owner that allows it
 * @KDBUS_NAME_ALLOW_REPLACEMENT:	let others take it
 * @KDBUS_NAME_QUEUE:			wait for it if it is taken
 * @KDBUS_NAME_IN_QUEUE:		reported: waiting
 * @KDBUS_NAME_ACTIVATOR:		reported: held by an activator
 * @KDBUS_NAME_PRIMARY:			reported: owned
 * @KDBUS_NAME_ACQUIRED:		reported: by this very command
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
 * @flags:		of the command
 * @return_flags:	set by the kernel
 * @items:		of the command
 */
struct kdbus_cmd {
	__u64 size;
	__u64 flags;
	__u64 return_flags;
	struct kdbus_item items[0];
} __attribute__((__aligned__(8)));

/* Longest name of a bus or endpoint and longest connection description. */
#define KDBUS_SYSNAME_MAX_LEN		63
/* Longest well-known name. */
#define KDBUS_NAME_MAX_LEN		255
/* Largest command, and largest message header with its items. */
#define KDBUS_CMD_MAX_SIZE		32768
/* Historical; not enforced. */
#define KDBUS_MSG_MAX_SIZE		8192
/* Largest Bloom filter. */
#define KDBUS_BUS_BLOOM_MAX_SIZE	4096
/* Per user: buses and connections. */
#define KDBUS_USER_MAX_BUSES		16
#define KDBUS_USER_MAX_CONN		1024
/* Per connection: names held or waited for, matches, open calls. */
#define KDBUS_CONN_MAX_NAMES		256
#define KDBUS_MATCH_MAX			256
#define KDBUS_CONN_MAX_REQUESTS_PENDING	128
/* Per receiver and sending user: unread messages, unread descriptors. */
#define KDBUS_CONN_MAX_MSGS		256
#define KDBUS_CONN_MAX_FDS_PER_USER	16
/* Per message: descriptors in memfd items; bytes of one vector. */
#define KDBUS_MSG_MAX_MEMFD_ITEMS	16
#define KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE	(2 * 1024 * 1024)

/*
 * The direction bits of the numbers are part of the ABI but carry no meaning:
 * each command is read, and at least its return_flags is written.
 */
#define KDBUS_CMD_BUS_MAKE		_IOW(KDBUS_IOCTL_MAGIC, 0x00, struct kdbus_cmd)

#define KDBUS_CMD_ENDPOINT_MAKE		_IOW(KDBUS_IOCTL_MAGIC, 0x10, struct kdbus_cmd)
#define KDBUS_CMD_ENDPOINT_UPDATE	_IOW(KDBUS_IOCTL_MAGIC, 0x11, struct kdbus_cmd)

#define KDBUS_CMD_HELLO			_IOWR(KDBUS_IOCTL_MAGIC, 0x80, struct kdbus_cmd_hello)
#define KDBUS_CMD_UPDATE		_IOW(KDBUS_IOCTL_MAGIC, 0x81, struct kdbus_cmd)
#define KDBUS_CMD_BYEBYE		_IOW(KDBUS_IOCTL_MAGIC, 0x82, struct kdbus_cmd)
#define KDBUS_CMD_FREE			_IOW(KDBUS_IOCTL_MAGIC, 0x83, struct kdbus_cmd_free)
#define KDBUS_CMD_CONN_INFO		_IOR(KDBUS_IOCTL_MAGIC, 0x84, struct kdbus_cmd_info)
#define KDBUS_CMD_BUS_CREATOR_INFO	_IOR(KDBUS_IOCTL_MAGIC, 0x85, struct kdbus_cmd_info)
#define KDBUS_CMD_LIST			_IOR(KDBUS_IOCTL_MAGIC, 0x86, struct kdbus_cmd_list)

#define KDBUS_CMD_SEND			_IOW(KDBUS_IOCTL_MAGIC, 0x90, struct kdbus_cmd_send)
#define KDBUS_CMD_RECV			_IOR(KDBUS_IOCTL_MAGIC, 0x91, struct kdbus_cmd_recv)

#define KDBUS_CMD_NAME_ACQUIRE		_IOW(KDBUS_IOCTL_MAGIC, 0xa0, struct kdbus_cmd)
#define KDBUS_CMD_NAME_RELEASE		_IOW(KDBUS_IOCTL_MAGIC, 0xa1, struct kdbus_cmd)

#define KDBUS_CMD_MATCH_ADD		_IOW(KDBUS_IOCTL_MAGIC, 0xb0, struct kdbus_cmd_match)
#define KDBUS_CMD_MATCH_REMOVE		_IOW(KDBUS_IOCTL_MAGIC, 0xb1, struct kdbus_cmd_match)

#endif /* _UAPI_LINUX_KDBUS_H_ */
