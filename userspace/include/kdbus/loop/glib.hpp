// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_GLIB_HPP
#define KDBUS_LOOP_GLIB_HPP

#include <kdbus/loop/attachment.hpp>

#include <glib-unix.h>
#include <glib.h>

#include <memory>
#include <utility>

namespace kdbus {

namespace detail {

class GlibBackend {
public:
    GlibBackend(GMainContext* context, int priority)
        : context_(context != nullptr ? g_main_context_ref(context)
                                      : g_main_context_ref_thread_default()),
          priority_(priority) {}

    Result<void> start(AttachedConnection<GlibBackend>& attached, int fd) {
        static GSourceFuncs functions{nullptr, nullptr, dispatch, nullptr, nullptr, nullptr};
        GSource* source = g_source_new(&functions, sizeof(Source));
        reinterpret_cast<Source*>(source)->attached = &attached;
        source_.reset(source);
        g_source_set_name(source, "kdbus");
        g_source_set_priority(source, priority_);
        tag_ = g_source_add_unix_fd(source, fd, G_IO_IN);
        g_source_attach(source, context_.get());
        return {};
    }

    void arm(short events, std::optional<LoopTime> timeout) noexcept {
        // GLib's conditions are poll's on Linux; its clock is CLOCK_MONOTONIC in microseconds.
        g_source_modify_unix_fd(source_.get(), tag_, static_cast<GIOCondition>(events));
        const gint64 never = -1;
        g_source_set_ready_time(
            source_.get(),
            timeout
                ? std::chrono::ceil<std::chrono::microseconds>(timeout->time_since_epoch()).count()
                : never);
    }

    void disarm() noexcept { source_.reset(); }

private:
    struct Source {
        GSource base;
        AttachedConnection<GlibBackend>* attached;
    };

    // No exception may pass through C.
    static gboolean dispatch(GSource* source, GSourceFunc, gpointer) noexcept {
        reinterpret_cast<Source*>(source)->attached->process();
        return G_SOURCE_CONTINUE;
    }

    struct Unref {
        void operator()(GMainContext* context) const noexcept { g_main_context_unref(context); }
        void operator()(GSource* source) const noexcept {
            g_source_destroy(source);
            g_source_unref(source);
        }
    };

    std::unique_ptr<GMainContext, Unref> context_;
    std::unique_ptr<GSource, Unref> source_;
    gpointer tag_ = nullptr;
    int priority_;
};

} // namespace detail

/// A connection in a GLib main context, as long as this object lives, which keeps the context
/// alive, too. An exception that leaves a handler ends the program (std::terminate): the loop is C.
using GlibAttachment = Attachment<detail::GlibBackend>;

/// Has a main context process a connection, the thread's default one if @p context is null. The
/// thread that attaches must be the one that runs the context. @p ended is told why the connection
/// ended. @p priority: that of the source, see g_source_set_priority().
[[nodiscard]] inline Result<GlibAttachment> attach_to_glib(GMainContext* context,
                                                           Connection& connection,
                                                           EndCallback ended,
                                                           int priority = G_PRIORITY_DEFAULT) {
    return GlibAttachment::make(connection, detail::GlibBackend(context, priority),
                                std::move(ended));
}

} // namespace kdbus

#endif
