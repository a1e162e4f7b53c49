// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Every number and every layout of the kernel interface, sections 3 and 12 of its reference. That
 * this compiles is the test; it is compiled for 64-bit and for 32-bit programs.
 */
#include <stddef.h>

#include <linux/kdbus.h>

#define VALUE(name, value) \
    _Static_assert((name) == (value), #name)
#define STRUCT(type, total) \
    _Static_assert(sizeof(struct type) == (total) && _Alignof(struct type) == 8, #type)
#define FIELD(type, member, offset, size) \
    _Static_assert(offsetof(struct type, member) == (offset) && \
                   sizeof(((struct type *)0)->member) == (size), #type "." #member)

/* abi 3.1: base constants */
VALUE(KDBUS_IOCTL_MAGIC, 0x95);
VALUE(KDBUS_SRC_ID_KERNEL, 0);
VALUE(KDBUS_DST_ID_NAME, 0);
VALUE(KDBUS_MATCH_ID_ANY, 0xffffffffffffffff);
VALUE(KDBUS_DST_ID_BROADCAST, 0xffffffffffffffff);
VALUE(KDBUS_FLAG_NEGOTIATE, 0x8000000000000000);

/* abi 3.2: ioctls */
VALUE(KDBUS_CMD_BUS_MAKE, 0x40189500);
VALUE(KDBUS_CMD_ENDPOINT_MAKE, 0x40189510);
VALUE(KDBUS_CMD_ENDPOINT_UPDATE, 0x40189511);
VALUE(KDBUS_CMD_HELLO, 0xc0609580);
VALUE(KDBUS_CMD_UPDATE, 0x40189581);
VALUE(KDBUS_CMD_BYEBYE, 0x40189582);
VALUE(KDBUS_CMD_FREE, 0x40209583);
VALUE(KDBUS_CMD_CONN_INFO, 0x80389584);
VALUE(KDBUS_CMD_BUS_CREATOR_INFO, 0x80389585);
VALUE(KDBUS_CMD_LIST, 0x80289586);
VALUE(KDBUS_CMD_SEND, 0x40389590);
VALUE(KDBUS_CMD_RECV, 0x80409591);
VALUE(KDBUS_CMD_NAME_ACQUIRE, 0x401895a0);
VALUE(KDBUS_CMD_NAME_RELEASE, 0x401895a1);
VALUE(KDBUS_CMD_MATCH_ADD, 0x402095b0);
VALUE(KDBUS_CMD_MATCH_REMOVE, 0x402095b1);

/* abi 3.3: flags and enumerations */
VALUE(KDBUS_HELLO_ACCEPT_FD, 1ULL << 0);
VALUE(KDBUS_HELLO_ACTIVATOR, 1ULL << 1);
VALUE(KDBUS_HELLO_POLICY_HOLDER, 1ULL << 2);
VALUE(KDBUS_HELLO_MONITOR, 1ULL << 3);
VALUE(KDBUS_ATTACH_TIMESTAMP, 1ULL << 0);
VALUE(KDBUS_ATTACH_EXE, 1ULL << 7);
VALUE(KDBUS_ATTACH_CREDS, 1ULL << 1);
VALUE(KDBUS_ATTACH_CMDLINE, 1ULL << 8);
VALUE(KDBUS_ATTACH_PIDS, 1ULL << 2);
VALUE(KDBUS_ATTACH_CGROUP, 1ULL << 9);
VALUE(KDBUS_ATTACH_AUXGROUPS, 1ULL << 3);
VALUE(KDBUS_ATTACH_CAPS, 1ULL << 10);
VALUE(KDBUS_ATTACH_NAMES, 1ULL << 4);
VALUE(KDBUS_ATTACH_SECLABEL, 1ULL << 11);
VALUE(KDBUS_ATTACH_TID_COMM, 1ULL << 5);
VALUE(KDBUS_ATTACH_AUDIT, 1ULL << 12);
VALUE(KDBUS_ATTACH_PID_COMM, 1ULL << 6);
VALUE(KDBUS_ATTACH_CONN_DESCRIPTION, 1ULL << 13);
VALUE(_KDBUS_ATTACH_ALL, 0x3fff);
VALUE(_KDBUS_ATTACH_ANY, 0xffffffffffffffff);
VALUE(KDBUS_LIST_UNIQUE, 1ULL << 0);
VALUE(KDBUS_LIST_NAMES, 1ULL << 1);
VALUE(KDBUS_LIST_ACTIVATORS, 1ULL << 2);
VALUE(KDBUS_LIST_QUEUED, 1ULL << 3);
VALUE(KDBUS_NAME_REPLACE_EXISTING, 1ULL << 0);
VALUE(KDBUS_NAME_ALLOW_REPLACEMENT, 1ULL << 1);
VALUE(KDBUS_NAME_QUEUE, 1ULL << 2);
VALUE(KDBUS_NAME_IN_QUEUE, 1ULL << 3);
VALUE(KDBUS_NAME_ACTIVATOR, 1ULL << 4);
VALUE(KDBUS_NAME_PRIMARY, 1ULL << 5);
VALUE(KDBUS_NAME_ACQUIRED, 1ULL << 6);
VALUE(KDBUS_MAKE_ACCESS_GROUP, 1ULL << 0);
VALUE(KDBUS_MAKE_ACCESS_WORLD, 1ULL << 1);
VALUE(KDBUS_MATCH_REPLACE, 1ULL << 0);
VALUE(KDBUS_SEND_SYNC_REPLY, 1ULL << 0);
VALUE(KDBUS_RECV_PEEK, 1ULL << 0);
VALUE(KDBUS_RECV_DROP, 1ULL << 1);
VALUE(KDBUS_RECV_USE_PRIORITY, 1ULL << 2);
VALUE(KDBUS_RECV_RETURN_INCOMPLETE_FDS, 1ULL << 0);
VALUE(KDBUS_RECV_RETURN_DROPPED_MSGS, 1ULL << 1);
VALUE(KDBUS_MSG_EXPECT_REPLY, 1ULL << 0);
VALUE(KDBUS_MSG_NO_AUTO_START, 1ULL << 1);
VALUE(KDBUS_MSG_SIGNAL, 1ULL << 2);
VALUE(KDBUS_PAYLOAD_KERNEL, 0);
VALUE(KDBUS_PAYLOAD_DBUS, 0x4442757344427573);
VALUE(_KDBUS_POLICY_ACCESS_NULL, 0);
VALUE(KDBUS_POLICY_ACCESS_USER, 1);
VALUE(KDBUS_POLICY_ACCESS_GROUP, 2);
VALUE(KDBUS_POLICY_ACCESS_WORLD, 3);
VALUE(KDBUS_POLICY_SEE, 0);
VALUE(KDBUS_POLICY_TALK, 1);
VALUE(KDBUS_POLICY_OWN, 2);

/* abi 3.4: item types */
VALUE(_KDBUS_ITEM_NULL, 0);
VALUE(_KDBUS_ITEM_USER_BASE, 1);
VALUE(_KDBUS_ITEM_ATTACH_BASE, 0x1000);
VALUE(_KDBUS_ITEM_POLICY_BASE, 0x2000);
VALUE(_KDBUS_ITEM_KERNEL_BASE, 0x8000);
VALUE(KDBUS_ITEM_NEGOTIATE, 0x1);
VALUE(KDBUS_ITEM_PAYLOAD_VEC, 0x2);
VALUE(KDBUS_ITEM_PAYLOAD_OFF, 0x3);
VALUE(KDBUS_ITEM_PAYLOAD_MEMFD, 0x4);
VALUE(KDBUS_ITEM_FDS, 0x5);
VALUE(KDBUS_ITEM_CANCEL_FD, 0x6);
VALUE(KDBUS_ITEM_BLOOM_PARAMETER, 0x7);
VALUE(KDBUS_ITEM_BLOOM_FILTER, 0x8);
VALUE(KDBUS_ITEM_BLOOM_MASK, 0x9);
VALUE(KDBUS_ITEM_DST_NAME, 0xa);
VALUE(KDBUS_ITEM_MAKE_NAME, 0xb);
VALUE(KDBUS_ITEM_ATTACH_FLAGS_SEND, 0xc);
VALUE(KDBUS_ITEM_ATTACH_FLAGS_RECV, 0xd);
VALUE(KDBUS_ITEM_ID, 0xe);
VALUE(KDBUS_ITEM_NAME, 0xf);
VALUE(KDBUS_ITEM_DST_ID, 0x10);
VALUE(KDBUS_ITEM_TIMESTAMP, 0x1000);
VALUE(KDBUS_ITEM_CREDS, 0x1001);
VALUE(KDBUS_ITEM_PIDS, 0x1002);
VALUE(KDBUS_ITEM_AUXGROUPS, 0x1003);
VALUE(KDBUS_ITEM_OWNED_NAME, 0x1004);
VALUE(KDBUS_ITEM_TID_COMM, 0x1005);
VALUE(KDBUS_ITEM_PID_COMM, 0x1006);
VALUE(KDBUS_ITEM_EXE, 0x1007);
VALUE(KDBUS_ITEM_CMDLINE, 0x1008);
VALUE(KDBUS_ITEM_CGROUP, 0x1009);
VALUE(KDBUS_ITEM_CAPS, 0x100a);
VALUE(KDBUS_ITEM_SECLABEL, 0x100b);
VALUE(KDBUS_ITEM_AUDIT, 0x100c);
VALUE(KDBUS_ITEM_CONN_DESCRIPTION, 0x100d);
VALUE(KDBUS_ITEM_POLICY_ACCESS, 0x2000);
VALUE(KDBUS_ITEM_NAME_ADD, 0x8000);
VALUE(KDBUS_ITEM_NAME_REMOVE, 0x8001);
VALUE(KDBUS_ITEM_NAME_CHANGE, 0x8002);
VALUE(KDBUS_ITEM_ID_ADD, 0x8003);
VALUE(KDBUS_ITEM_ID_REMOVE, 0x8004);
VALUE(KDBUS_ITEM_REPLY_TIMEOUT, 0x8005);
VALUE(KDBUS_ITEM_REPLY_DEAD, 0x8006);

/* abi 12: limits */
VALUE(KDBUS_SYSNAME_MAX_LEN, 63);
VALUE(KDBUS_NAME_MAX_LEN, 255);
VALUE(KDBUS_CMD_MAX_SIZE, 32768);
VALUE(KDBUS_MSG_MAX_SIZE, 8192);
VALUE(KDBUS_BUS_BLOOM_MAX_SIZE, 4096);
VALUE(KDBUS_USER_MAX_BUSES, 16);
VALUE(KDBUS_USER_MAX_CONN, 1024);
VALUE(KDBUS_CONN_MAX_NAMES, 256);
VALUE(KDBUS_MATCH_MAX, 256);
VALUE(KDBUS_CONN_MAX_MSGS, 256);
VALUE(KDBUS_CONN_MAX_FDS_PER_USER, 16);
VALUE(KDBUS_CONN_MAX_REQUESTS_PENDING, 128);
VALUE(KDBUS_MSG_MAX_MEMFD_ITEMS, 16);
VALUE(KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE, 2097152);

/* abi 3.5: structures */

STRUCT(kdbus_cmd, 24);
FIELD(kdbus_cmd, size, 0, 8);
FIELD(kdbus_cmd, flags, 8, 8);
FIELD(kdbus_cmd, return_flags, 16, 8);
FIELD(kdbus_cmd, items, 24, 0);

STRUCT(kdbus_cmd_hello, 96);
FIELD(kdbus_cmd_hello, size, 0, 8);
FIELD(kdbus_cmd_hello, flags, 8, 8);
FIELD(kdbus_cmd_hello, return_flags, 16, 8);
FIELD(kdbus_cmd_hello, attach_flags_send, 24, 8);
FIELD(kdbus_cmd_hello, attach_flags_recv, 32, 8);
FIELD(kdbus_cmd_hello, bus_flags, 40, 8);
FIELD(kdbus_cmd_hello, id, 48, 8);
FIELD(kdbus_cmd_hello, pool_size, 56, 8);
FIELD(kdbus_cmd_hello, offset, 64, 8);
FIELD(kdbus_cmd_hello, items_size, 72, 8);
FIELD(kdbus_cmd_hello, id128, 80, 16);
FIELD(kdbus_cmd_hello, items, 96, 0);

STRUCT(kdbus_cmd_info, 56);
FIELD(kdbus_cmd_info, size, 0, 8);
FIELD(kdbus_cmd_info, flags, 8, 8);
FIELD(kdbus_cmd_info, return_flags, 16, 8);
FIELD(kdbus_cmd_info, id, 24, 8);
FIELD(kdbus_cmd_info, attach_flags, 32, 8);
FIELD(kdbus_cmd_info, offset, 40, 8);
FIELD(kdbus_cmd_info, info_size, 48, 8);
FIELD(kdbus_cmd_info, items, 56, 0);

STRUCT(kdbus_cmd_list, 40);
FIELD(kdbus_cmd_list, size, 0, 8);
FIELD(kdbus_cmd_list, flags, 8, 8);
FIELD(kdbus_cmd_list, return_flags, 16, 8);
FIELD(kdbus_cmd_list, offset, 24, 8);
FIELD(kdbus_cmd_list, list_size, 32, 8);
FIELD(kdbus_cmd_list, items, 40, 0);

STRUCT(kdbus_cmd_match, 32);
FIELD(kdbus_cmd_match, size, 0, 8);
FIELD(kdbus_cmd_match, flags, 8, 8);
FIELD(kdbus_cmd_match, return_flags, 16, 8);
FIELD(kdbus_cmd_match, cookie, 24, 8);
FIELD(kdbus_cmd_match, items, 32, 0);

STRUCT(kdbus_cmd_free, 32);
FIELD(kdbus_cmd_free, size, 0, 8);
FIELD(kdbus_cmd_free, flags, 8, 8);
FIELD(kdbus_cmd_free, return_flags, 16, 8);
FIELD(kdbus_cmd_free, offset, 24, 8);
FIELD(kdbus_cmd_free, items, 32, 0);

STRUCT(kdbus_cmd_send, 56);
FIELD(kdbus_cmd_send, size, 0, 8);
FIELD(kdbus_cmd_send, flags, 8, 8);
FIELD(kdbus_cmd_send, return_flags, 16, 8);
FIELD(kdbus_cmd_send, msg_address, 24, 8);
FIELD(kdbus_cmd_send, reply, 32, 24);
FIELD(kdbus_cmd_send, items, 56, 0);

STRUCT(kdbus_cmd_recv, 64);
FIELD(kdbus_cmd_recv, size, 0, 8);
FIELD(kdbus_cmd_recv, flags, 8, 8);
FIELD(kdbus_cmd_recv, return_flags, 16, 8);
FIELD(kdbus_cmd_recv, priority, 24, 8);
FIELD(kdbus_cmd_recv, dropped_msgs, 32, 8);
FIELD(kdbus_cmd_recv, msg, 40, 24);
FIELD(kdbus_cmd_recv, items, 64, 0);

STRUCT(kdbus_msg_info, 24);
FIELD(kdbus_msg_info, offset, 0, 8);
FIELD(kdbus_msg_info, msg_size, 8, 8);
FIELD(kdbus_msg_info, return_flags, 16, 8);

STRUCT(kdbus_msg, 64);
FIELD(kdbus_msg, size, 0, 8);
FIELD(kdbus_msg, flags, 8, 8);
FIELD(kdbus_msg, priority, 16, 8);
FIELD(kdbus_msg, dst_id, 24, 8);
FIELD(kdbus_msg, src_id, 32, 8);
FIELD(kdbus_msg, payload_type, 40, 8);
FIELD(kdbus_msg, cookie, 48, 8);
FIELD(kdbus_msg, timeout_ns, 56, 8);
FIELD(kdbus_msg, cookie_reply, 56, 8);
FIELD(kdbus_msg, items, 64, 0);

STRUCT(kdbus_info, 24);
FIELD(kdbus_info, size, 0, 8);
FIELD(kdbus_info, id, 8, 8);
FIELD(kdbus_info, flags, 16, 8);
FIELD(kdbus_info, items, 24, 0);

STRUCT(kdbus_item, 80);
FIELD(kdbus_item, size, 0, 8);
FIELD(kdbus_item, type, 8, 8);
FIELD(kdbus_item, data, 16, 0);
FIELD(kdbus_item, data32, 16, 0);
FIELD(kdbus_item, data64, 16, 0);
FIELD(kdbus_item, str, 16, 0);
FIELD(kdbus_item, id, 16, 8);
FIELD(kdbus_item, vec, 16, 16);
FIELD(kdbus_item, creds, 16, 64);
FIELD(kdbus_item, pids, 16, 24);
FIELD(kdbus_item, audit, 16, 8);
FIELD(kdbus_item, caps, 16, 8);
FIELD(kdbus_item, timestamp, 16, 24);
FIELD(kdbus_item, name, 16, 8);
FIELD(kdbus_item, bloom_parameter, 16, 16);
FIELD(kdbus_item, bloom_filter, 16, 8);
FIELD(kdbus_item, memfd, 16, 24);
FIELD(kdbus_item, fds, 16, 0);
FIELD(kdbus_item, name_change, 16, 32);
FIELD(kdbus_item, id_change, 16, 16);
FIELD(kdbus_item, policy_access, 16, 24);

STRUCT(kdbus_vec, 16);
FIELD(kdbus_vec, size, 0, 8);
FIELD(kdbus_vec, address, 8, 8);
FIELD(kdbus_vec, offset, 8, 8);

STRUCT(kdbus_memfd, 24);
FIELD(kdbus_memfd, start, 0, 8);
FIELD(kdbus_memfd, size, 8, 8);
FIELD(kdbus_memfd, fd, 16, 4);
FIELD(kdbus_memfd, __pad, 20, 4);

STRUCT(kdbus_bloom_parameter, 16);
FIELD(kdbus_bloom_parameter, size, 0, 8);
FIELD(kdbus_bloom_parameter, n_hash, 8, 8);

STRUCT(kdbus_bloom_filter, 8);
FIELD(kdbus_bloom_filter, generation, 0, 8);
FIELD(kdbus_bloom_filter, data, 8, 0);

STRUCT(kdbus_name, 8);
FIELD(kdbus_name, flags, 0, 8);
FIELD(kdbus_name, name, 8, 0);

STRUCT(kdbus_creds, 64);
FIELD(kdbus_creds, uid, 0, 8);
FIELD(kdbus_creds, euid, 8, 8);
FIELD(kdbus_creds, suid, 16, 8);
FIELD(kdbus_creds, fsuid, 24, 8);
FIELD(kdbus_creds, gid, 32, 8);
FIELD(kdbus_creds, egid, 40, 8);
FIELD(kdbus_creds, sgid, 48, 8);
FIELD(kdbus_creds, fsgid, 56, 8);

STRUCT(kdbus_pids, 24);
FIELD(kdbus_pids, pid, 0, 8);
FIELD(kdbus_pids, tid, 8, 8);
FIELD(kdbus_pids, ppid, 16, 8);

STRUCT(kdbus_caps, 8);
FIELD(kdbus_caps, last_cap, 0, 4);
FIELD(kdbus_caps, caps, 4, 0);

STRUCT(kdbus_audit, 8);
FIELD(kdbus_audit, sessionid, 0, 4);
FIELD(kdbus_audit, loginuid, 4, 4);

STRUCT(kdbus_timestamp, 24);
FIELD(kdbus_timestamp, seqnum, 0, 8);
FIELD(kdbus_timestamp, monotonic_ns, 8, 8);
FIELD(kdbus_timestamp, realtime_ns, 16, 8);

STRUCT(kdbus_policy_access, 24);
FIELD(kdbus_policy_access, type, 0, 8);
FIELD(kdbus_policy_access, access, 8, 8);
FIELD(kdbus_policy_access, id, 16, 8);

STRUCT(kdbus_notify_id_change, 16);
FIELD(kdbus_notify_id_change, id, 0, 8);
FIELD(kdbus_notify_id_change, flags, 8, 8);

STRUCT(kdbus_notify_name_change, 32);
FIELD(kdbus_notify_name_change, old_id, 0, 16);
FIELD(kdbus_notify_name_change, new_id, 16, 16);
FIELD(kdbus_notify_name_change, name, 32, 0);

/* What the reference does not have. */
VALUE(KDBUS_MAKE_ALLOW_UNIX_FDS, 1ULL << 2);
