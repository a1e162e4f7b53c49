/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service of docs/examples/serve.cpp, written for sd-bus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

static int greet(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	uint32_t *served = userdata;
	const char *name;
	char greeting[100];
	int r = sd_bus_message_read(call, "s", &name);

	(void)error;
	if (r < 0)
		return r;
	++*served;
	snprintf(greeting, sizeof(greeting), "Hello, %s!", name);
	return sd_bus_reply_method_return(call, "s", greeting);
}

static const sd_bus_vtable hello[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_NAMES("Greet", "s", SD_BUS_PARAM(name), "s", SD_BUS_PARAM(greeting), greet,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Served", "u", NULL, 0, 0),
	SD_BUS_VTABLE_END,
};

int main(void)
{
	sd_bus *bus = NULL;
	sd_bus_slot *slot = NULL;
	const char *unique = NULL;
	uint32_t served = 0;
	int r;

	if ((r = sd_bus_open_user(&bus)) < 0 ||
	    (r = sd_bus_add_object_vtable(bus, &slot, "/org/example/Hello", "org.example.Hello", hello,
					  &served)) < 0 ||
	    (r = sd_bus_request_name(bus, "org.example.Hello", 0)) < 0 ||
	    (r = sd_bus_get_unique_name(bus, &unique)) < 0)
		goto out;
	printf("serving as %s\n", unique);
	fflush(stdout);
	for (;;) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
		if (r < 0)
			break;
	}
out:
	fprintf(stderr, "%s\n", strerror(-r));
	sd_bus_slot_unref(slot);
	sd_bus_flush_close_unref(bus);
	return EXIT_FAILURE;
}
