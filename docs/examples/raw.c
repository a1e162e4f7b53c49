/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a bus, connects to it twice, and sends a text from one connection to the other. */
#include <err.h>
#include <fcntl.h>
#include <linux/kdbus.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define POOL_SIZE	(1 << 20)
#define ALIGN8(size)	(((size) + 7) & ~7ULL)

struct connection {
	int fd;
	uint64_t id;
	const uint8_t *pool;
};

/* Appends an item to a command or message, and returns where its payload goes. */
static void *add_item(void *command, uint64_t type, uint64_t payload)
{
	struct kdbus_cmd *cmd = command; /* size is the first field of all of them */
	struct kdbus_item *item = (void *)((uint8_t *)cmd + ALIGN8(cmd->size));

	item->size = offsetof(struct kdbus_item, data) + payload;
	item->type = type;
	cmd->size = ALIGN8(cmd->size) + item->size;
	return item->data;
}

static int make_bus(const char *name)
{
	_Alignas(8) uint8_t buffer[256] = { 0 };
	struct kdbus_cmd *cmd = (void *)buffer;
	struct kdbus_bloom_parameter bloom = { .size = 64, .n_hash = 8 };
	int fd = open("/dev/kdbus/control", O_RDWR | O_CLOEXEC);

	cmd->size = sizeof(*cmd);
	memcpy(add_item(cmd, KDBUS_ITEM_BLOOM_PARAMETER, sizeof(bloom)), &bloom, sizeof(bloom));
	strcpy(add_item(cmd, KDBUS_ITEM_MAKE_NAME, strlen(name) + 1), name);
	if (fd < 0 || ioctl(fd, KDBUS_CMD_BUS_MAKE, cmd) < 0)
		err(EXIT_FAILURE, "cannot make bus %s", name);
	return fd; /* the bus exists until this is closed */
}

static void free_slice(struct connection *conn, uint64_t offset)
{
	struct kdbus_cmd_free cmd = { .size = sizeof(cmd), .offset = offset };

	if (ioctl(conn->fd, KDBUS_CMD_FREE, &cmd) < 0)
		err(EXIT_FAILURE, "cannot free a slice");
}

static struct connection hello(const char *path)
{
	struct kdbus_cmd_hello cmd = {
		.size = sizeof(cmd),
		.attach_flags_send = _KDBUS_ATTACH_ANY,
		.attach_flags_recv = KDBUS_ATTACH_PIDS,
		.pool_size = POOL_SIZE,
	};
	struct connection conn = { .fd = open(path, O_RDWR | O_CLOEXEC) };

	if (conn.fd < 0 || ioctl(conn.fd, KDBUS_CMD_HELLO, &cmd) < 0)
		err(EXIT_FAILURE, "cannot connect to %s", path);
	conn.id = cmd.id;
	conn.pool = mmap(NULL, POOL_SIZE, PROT_READ, MAP_SHARED, conn.fd, 0);
	if (conn.pool == MAP_FAILED)
		err(EXIT_FAILURE, "cannot map the pool");
	free_slice(&conn, cmd.offset); /* the Bloom parameters */
	return conn;
}

static void send_text(struct connection *conn, uint64_t to, const char *text)
{
	_Alignas(8) uint8_t buffer[256] = { 0 };
	struct kdbus_msg *msg = (void *)buffer;
	struct kdbus_vec vec = { .size = strlen(text) + 1, .address = (uintptr_t)text };
	struct kdbus_cmd_send cmd = { .size = sizeof(cmd), .msg_address = (uintptr_t)msg };

	msg->size = sizeof(*msg);
	msg->dst_id = to;
	msg->payload_type = KDBUS_PAYLOAD_DBUS;
	msg->cookie = 1;
	memcpy(add_item(msg, KDBUS_ITEM_PAYLOAD_VEC, sizeof(vec)), &vec, sizeof(vec));
	if (ioctl(conn->fd, KDBUS_CMD_SEND, &cmd) < 0)
		err(EXIT_FAILURE, "cannot send");
}

static void receive(struct connection *conn)
{
	struct kdbus_cmd_recv cmd = { .size = sizeof(cmd) };
	struct pollfd readable = { .fd = conn->fd, .events = POLLIN };
	const struct kdbus_msg *msg;
	const struct kdbus_item *item;

	if (poll(&readable, 1, -1) < 0 || ioctl(conn->fd, KDBUS_CMD_RECV, &cmd) < 0)
		err(EXIT_FAILURE, "cannot receive");

	msg = (const void *)(conn->pool + cmd.msg.offset);
	for (item = msg->items; (const uint8_t *)item < (const uint8_t *)msg + msg->size;
	     item = (const void *)((const uint8_t *)item + ALIGN8(item->size))) {
		if (item->type == KDBUS_ITEM_PAYLOAD_OFF)
			printf("\"%s\" ", (const char *)msg + item->vec.offset);
		else if (item->type == KDBUS_ITEM_PIDS)
			printf("from process %llu ", (unsigned long long)item->pids.pid);
	}
	printf("on connection %llu\n", (unsigned long long)msg->src_id);
	free_slice(conn, cmd.msg.offset);
}

int main(void)
{
	struct connection sender, receiver;
	char name[32], path[64];
	int bus;

	snprintf(name, sizeof(name), "%u-raw", geteuid());
	snprintf(path, sizeof(path), "/dev/kdbus/%s/bus", name);
	bus = make_bus(name);
	sender = hello(path);
	receiver = hello(path);
	send_text(&sender, receiver.id, "hello");
	receive(&receiver);
	close(bus); /* disconnects both */
	return EXIT_SUCCESS;
}
