// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_LOOP_DRIVERS_HPP
#define KDBUS_SELFTESTS_LIB_LOOP_DRIVERS_HPP

#ifdef KDBUS_TEST_QT
#include <QtCore/QCoreApplication>
// As in programs that are not careful about the order.
#include <kdbus/loop/qt.hpp>
#else
#include <kdbus/loop/asio.hpp>
#include <kdbus/loop/epoll.hpp>
#include <kdbus/loop/glib.hpp>
#include <kdbus/loop/io_uring.hpp>
#include <kdbus/loop/sd_event.hpp>
#endif

#include <chrono>
#include <iostream>
#include <memory>
#include <utility>

/// Event loops that all look the same: each can attach() connections and run once() for a while.
namespace drivers {

using std::chrono::milliseconds;

#ifdef KDBUS_TEST_QT

struct Qt5 {
    static bool usable() { return true; }
    using Attachment = kdbus::QtAttachment;
    static constexpr bool passes_exceptions = false;
    static constexpr bool needs_memory = true;
    static constexpr int own_allocations = 3; // of attach(), before those of Qt

    kdbus::Result<Attachment> attach(kdbus::Connection& connection, kdbus::EndCallback ended) {
        return kdbus::attach_to_qt(connection, std::move(ended));
    }
    void once(milliseconds limit) {
        QTimer timer;
        timer.setSingleShot(true);
        timer.start(limit);
        QCoreApplication::processEvents(QEventLoop::AllEvents | QEventLoop::WaitForMoreEvents);
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    }

private:
    int count_ = 0;
    QCoreApplication application_{count_, nullptr};
};

#else

/// Whether a loop can be made here; says why if not. Containers often forbid io_uring: guests have
/// it.
template <class Loop>
bool can_make() {
    const auto made = Loop::create();
    if (!made)
        std::cerr << "This loop is not tested here: " << made.error().message << '\n';
    return made.has_value();
}

template <class Loop>
struct Own {
    static bool usable() { return can_make<Loop>(); }

    using Attachment = typename Loop::Attachment;
    static constexpr bool passes_exceptions = true;
    static constexpr bool needs_memory = false;
    static constexpr int own_allocations = 1000; // they are all for us to fail

    kdbus::Result<Attachment> attach(kdbus::Connection& connection, kdbus::EndCallback ended) {
        return loop.attach(connection, std::move(ended));
    }
    void once(milliseconds limit) { loop.step(limit).value(); }

    Loop loop = Loop::create().value();
};
using Epoll = Own<kdbus::EpollLoop>;
using Uring = Own<kdbus::UringLoop>;

struct SdEvent {
    static bool usable() { return true; }
    using Attachment = kdbus::SdEventAttachment;
    static constexpr bool passes_exceptions = false;
    static constexpr bool needs_memory = false;
    static constexpr int own_allocations = 1000; // they are all for us to fail

    SdEvent() {
        if (sd_event_new(&loop) < 0)
            throw std::bad_alloc();
    }
    SdEvent(const SdEvent&) = delete;
    ~SdEvent() { sd_event_unref(loop); }
    kdbus::Result<Attachment> attach(kdbus::Connection& connection, kdbus::EndCallback ended) {
        return kdbus::attach_to_sd_event(loop, connection, std::move(ended));
    }
    void once(milliseconds limit) {
        sd_event_run(loop, static_cast<std::uint64_t>(std::chrono::microseconds(limit).count()));
    }

    sd_event* loop = nullptr;
};

struct Glib {
    static bool usable() { return true; }
    using Attachment = kdbus::GlibAttachment;
    static constexpr bool passes_exceptions = false;
    static constexpr bool needs_memory = false;
    static constexpr int own_allocations = 1000; // they are all for us to fail

    Glib() : context(g_main_context_new()) {}
    Glib(const Glib&) = delete;
    ~Glib() { g_main_context_unref(context); }
    kdbus::Result<Attachment> attach(kdbus::Connection& connection, kdbus::EndCallback ended) {
        return kdbus::attach_to_glib(context, connection, std::move(ended));
    }
    void once(milliseconds limit) {
        GSource* timer = g_timeout_source_new(static_cast<guint>(limit.count()));
        g_source_set_callback(
            timer, [](gpointer) -> gboolean { return G_SOURCE_CONTINUE; }, nullptr, nullptr);
        g_source_attach(timer, context);
        g_main_context_iteration(context, TRUE);
        g_source_destroy(timer);
        g_source_unref(timer);
    }

    GMainContext* context;
};

struct Asio {
    static bool usable() { return true; }
    using Attachment = kdbus::AsioAttachment;
    static constexpr bool passes_exceptions = true;
    static constexpr bool needs_memory = false;
    static constexpr int own_allocations = 1000; // they are all for us to fail

    kdbus::Result<Attachment> attach(kdbus::Connection& connection, kdbus::EndCallback ended) {
        return kdbus::attach_to_asio(context, connection, std::move(ended));
    }
    void once(milliseconds limit) {
        context.restart();
        context.run_one_for(limit);
    }

    kdbus::detail::asio::io_context context;
};

#endif

} // namespace drivers

#endif
