/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Metadata
 *
 * What the kernel vouches for: who sent a message and when. Of a sender it is
 * the state of the thread that executes SEND, taken from current without
 * pinning anything, and only what the receiver asked for. Of a connection it
 * is the state of the thread that said HELLO, remembered as references to
 * objects that cannot change. Ids are translated into the reader's user and
 * pid namespaces while they are written.
 *
 * A connection made for somebody else (a proxy's client) has faked metadata:
 * only what HELLO was given exists, and messages from it carry no process
 * metadata at all.
 *
 * What costs a search, a lock or an allocation - the executable, the command
 * line, the cgroup, the security label - is only looked at if somebody asks for
 * it. Credentials, capabilities and texts are information for whoever gets them,
 * not authority. The module parameter attach_flags_mask withholds any of it from
 * everybody.
 */
#ifndef KDBUS_METADATA_H
#define KDBUS_METADATA_H

#include <linux/path.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include <linux/kdbus.h>

struct cred;
struct file;
struct kdbus_buf;
struct kdbus_conn;
struct pid;
struct pid_namespace;
struct user_namespace;

/* Metadata that describes a process; the rest describes connection or message. */
#define KDBUS_META_PROCESS							\
	(KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS |	\
	 KDBUS_ATTACH_TID_COMM | KDBUS_ATTACH_PID_COMM | KDBUS_ATTACH_EXE |	\
	 KDBUS_ATTACH_CMDLINE | KDBUS_ATTACH_CGROUP | KDBUS_ATTACH_CAPS |	\
	 KDBUS_ATTACH_SECLABEL | KDBUS_ATTACH_AUDIT)

/**
 * struct kdbus_meta_process - a thread, as metadata describes it
 * @mask:	KDBUS_ATTACH_* that is known of it
 * @pinned:	references are held to @cred and @pid, not just to the parent
 * @failed:	what there was no memory for, KDBUS_ATTACH_*
 * @uid:	real, effective, saved and file-system user id
 * @gid:	real, effective, saved and file-system group id
 * @cred:	credentials, for what is not above
 * @pid:	process, thread and parent process; each may be NULL
 * @tid_comm:	name of the thread
 * @pid_comm:	name of the process's first thread
 * @exe:	executable, referenced
 * @cmdline:	first argument
 * @cgroup:	path in the cgroup hierarchy
 * @seclabel:	security label
 * @loginuid:	as audit knows it
 * @sessionid:	as audit knows it
 *
 * Fields whose bit is not in @mask are not valid.
 */
struct kdbus_meta_process {
	u64 mask;
	bool pinned;
	u64 failed;
	kuid_t uid[4];
	kgid_t gid[4];
	const struct cred *cred;
	struct pid *pid[3];
	char tid_comm[TASK_COMM_LEN];
	char pid_comm[TASK_COMM_LEN];
	struct file *exe;
	char *cmdline;
	char *cgroup;
	char *seclabel;
	kuid_t loginuid;
	u32 sessionid;
};

/**
 * struct kdbus_meta_conn - what a connection remembers of its HELLO
 * @process:	the thread that said HELLO, or what it was said to be
 * @faked:	the latter
 * @pid_ns:	pid namespace in which the connection sees others
 * @root:	root directory from which it sees files
 */
struct kdbus_meta_conn {
	struct kdbus_meta_process process;
	bool faked;
	struct pid_namespace *pid_ns;
	struct path root;
};

/**
 * struct kdbus_meta_reader - in whose eyes metadata is written
 * @user_ns:	user namespace
 * @pid_ns:	pid namespace
 * @root:	root directory
 */
struct kdbus_meta_reader {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
	const struct path *root;
};

u64 kdbus_meta_mask(u64 mask);

void kdbus_meta_process_current(struct kdbus_meta_process *process, u64 mask);
void kdbus_meta_process_pin(struct kdbus_meta_process *process);
void kdbus_meta_process_release(struct kdbus_meta_process *process);
void kdbus_meta_process_write(const struct kdbus_meta_process *process, u64 mask,
			      const struct kdbus_meta_reader *reader, struct kdbus_buf *buf);

int kdbus_meta_conn_init(struct kdbus_meta_conn *meta, const struct kdbus_item *creds,
			 const struct kdbus_item *pids, const struct kdbus_item *seclabel);
void kdbus_meta_conn_release(struct kdbus_meta_conn *meta);
void kdbus_meta_conn_write_names(struct kdbus_conn *conn, struct kdbus_buf *buf);
void kdbus_meta_conn_write(struct kdbus_conn *conn, u64 mask,
			   const struct kdbus_meta_reader *reader, struct kdbus_buf *buf);

void kdbus_meta_write_timestamp(u64 seqnum, u64 monotonic_ns, u64 realtime_ns,
				struct kdbus_buf *buf);
struct kdbus_meta_reader kdbus_meta_reader_of(const struct kdbus_conn *conn);

#endif /* KDBUS_METADATA_H */
