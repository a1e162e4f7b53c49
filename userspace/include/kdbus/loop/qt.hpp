// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_QT_HPP
#define KDBUS_LOOP_QT_HPP

// Qt's keywords are words of ours; they may be defined already. (A program that wants to call
// Connection::emit() defines QT_NO_KEYWORDS.)
#pragma push_macro("emit")
#pragma push_macro("signals")
#pragma push_macro("slots")
#undef emit
#undef signals
#undef slots
#include <kdbus/loop/attachment.hpp>
#pragma pop_macro("slots")
#pragma pop_macro("signals")
#pragma pop_macro("emit")

#include <QtCore/QAbstractEventDispatcher>
#include <QtCore/QEvent>
#include <QtCore/QObject>
#include <QtCore/QSocketNotifier>
#include <QtCore/QTimer>

#include <functional>
#include <memory>
#include <poll.h>
#include <utility>

namespace kdbus {

namespace detail {

class QtBackend {
public:
    Result<void> start(AttachedConnection<QtBackend>& attached, int fd) {
        if (QAbstractEventDispatcher::instance() == nullptr)
            return Error{error_names::failed, "This thread has no Qt event loop"};
        const auto process = [&attached, busy = busy_]() noexcept {
            // Qt does not expect exceptions here.
            const bool outer = std::exchange(*busy, true);
            attached.process();
            *busy = outer;
        };
        reader_ = std::make_unique<Notifier>(fd, QSocketNotifier::Read, process);
        writer_ = std::make_unique<Notifier>(fd, QSocketNotifier::Write, process);
        timer_ = std::make_unique<QTimer>();
        timer_->setSingleShot(true);
        timer_->setTimerType(Qt::PreciseTimer);
        QObject::connect(timer_.get(), &QTimer::timeout, timer_.get(), process);
        return {};
    }

    // (Qt does not go on without memory.)
    void arm(short events, std::optional<LoopTime> timeout) noexcept {
        reader_->setEnabled((events & POLLIN) != 0);
        writer_->setEnabled((events & POLLOUT) != 0);
        if (timeout)
            timer_->start(static_cast<int>(time_left<std::chrono::milliseconds>(*timeout).count()));
        else
            timer_->stop();
    }

    void disarm() noexcept {
        if (timer_ == nullptr) { // start() has thrown
            reader_.reset();
            writer_.reset();
            return;
        }
        reader_->setEnabled(false);
        writer_->setEnabled(false);
        timer_->stop();
        if (*busy_) { // it is one of them that runs us
            reader_.release()->deleteLater();
            writer_.release()->deleteLater();
            timer_.release()->deleteLater();
        }
        reader_.reset();
        writer_.reset();
        timer_.reset();
    }

private:
    /// Of a class of our own, because the signal has other parameters in each version of Qt.
    class Notifier : public QSocketNotifier {
    public:
        Notifier(int fd, Type type, std::function<void()> process)
            : QSocketNotifier(fd, type), process_(std::move(process)) {}

    protected:
        bool event(QEvent* event) override {
            if (event->type() != QEvent::SockAct)
                return QSocketNotifier::event(event);
            // A loop that a handler runs would find the same thing again and again.
            setEnabled(false);
            process_();
            return true;
        }

    private:
        std::function<void()> process_;
    };

    std::unique_ptr<Notifier> reader_;
    std::unique_ptr<Notifier> writer_;
    std::unique_ptr<QTimer> timer_;
    std::shared_ptr<bool> busy_ = std::make_shared<bool>(false); ///< they are processing just now
};

} // namespace detail

/// A connection in the Qt event loop of the thread that attached it, as long as this object lives.
/// Nested loops of handlers are fine: the connection waits until the handler has returned. An
/// exception that leaves a handler ends the program (std::terminate): Qt demands it.
using QtAttachment = Attachment<detail::QtBackend>;

/// Has this thread's Qt event loop process a connection. There must be an application object. @p
/// ended is told why the connection ended. Fails with Failed if there is no event loop.
[[nodiscard]] inline Result<QtAttachment> attach_to_qt(Connection& connection, EndCallback ended) {
    return QtAttachment::make(connection, detail::QtBackend(), std::move(ended));
}

} // namespace kdbus

#endif
