// SPDX-License-Identifier: LGPL-2.1-or-later
#include "event.hpp"

#include <sys/signalfd.h>
#include <time.h>

#include <csignal>
#include <system_error>
#include <utility>

namespace kdbus::proxy {

namespace {

int check(int result, const char* what) {
    if (result < 0)
        throw std::system_error(-result, std::generic_category(), what);
    return result;
}

} // namespace

Loop::Loop() {
    sd_event* event = nullptr;
    check(sd_event_new(&event), "event loop");
    event_.reset(event);
}

void Loop::on_termination(std::function<void()> handler) {
    terminate_ = std::move(handler);
    for (const int signal : {SIGTERM, SIGINT})
        check(sd_event_add_signal(
                  get(), nullptr, signal,
                  [](sd_event_source*, const signalfd_siginfo*, void* data) {
                      static_cast<Loop*>(data)->terminate_();
                      return 0;
                  },
                  this),
              "signals");
}

void Loop::after_each_round(std::function<void()> handler) {
    round_ = std::move(handler);
    check(sd_event_add_post(
              get(), nullptr,
              [](sd_event_source*, void* data) {
                  static_cast<Loop*>(data)->round_();
                  return 0;
              },
              this),
          "event loop");
}

int Loop::run() {
    return check(sd_event_loop(get()), "event loop");
}

void Loop::quit(int status) {
    sd_event_exit(get(), status);
}

Io::Io(Loop& loop, int fd, std::uint32_t events, Handler handler)
    : handler_(std::move(handler)), events_(events) {
    sd_event_source* source = nullptr;
    check(sd_event_add_io(
              loop.get(), &source, fd, events,
              [](sd_event_source*, int, std::uint32_t revents, void* data) {
                  static_cast<Io*>(data)->handler_(revents);
                  return 0;
              },
              this),
          "watching a descriptor");
    source_.reset(source);
}

void Io::watch(std::uint32_t events) noexcept {
    if (events != events_ && sd_event_source_set_io_events(source_.get(), events) >= 0)
        events_ = events;
    if (!enabled_ && sd_event_source_set_enabled(source_.get(), SD_EVENT_ON) >= 0)
        enabled_ = true;
}

void Io::pause() noexcept {
    if (enabled_ && sd_event_source_set_enabled(source_.get(), SD_EVENT_OFF) >= 0)
        enabled_ = false;
}

Timer::Timer(Loop& loop, std::function<void()> handler) : handler_(std::move(handler)) {
    sd_event_source* source = nullptr;
    check(sd_event_add_time_relative(
              loop.get(), &source, CLOCK_MONOTONIC, 0, 0,
              [](sd_event_source*, std::uint64_t, void* data) {
                  auto* timer = static_cast<Timer*>(data);
                  timer->armed_ = false;
                  timer->handler_();
                  return 0;
              },
              this),
          "timer");
    source_.reset(source);
    check(sd_event_source_set_enabled(source, SD_EVENT_OFF), "timer");
}

void Timer::set(std::chrono::microseconds delay) noexcept {
    const auto relative = static_cast<std::uint64_t>(delay.count());
    armed_ = sd_event_source_set_time_relative(source_.get(), relative) >= 0 &&
             sd_event_source_set_enabled(source_.get(), SD_EVENT_ONESHOT) >= 0;
}

void Timer::cancel() noexcept {
    if (armed_ && sd_event_source_set_enabled(source_.get(), SD_EVENT_OFF) >= 0)
        armed_ = false;
}

} // namespace kdbus::proxy
