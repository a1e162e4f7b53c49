// SPDX-License-Identifier: LGPL-2.1-or-later
#include "stream.hpp"

#include <kdbus/stream.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <new>
#include <string>
#include <utility>

namespace kdbus {
namespace detail {

class StreamWriterState : public std::enable_shared_from_this<StreamWriterState> {
public:
    StreamWriterState(Connection& connection, std::string_view destination, std::string_view path,
                      const StreamWriterOptions& options)
        : connection_(connection), destination_(destination), path_(path), window_(options.window),
          timeout_(options.timeout) {}

    Result<void> open() {
        return call("Open", {}, [this](const Result<Message>& reply) {
            const auto limits = reply->get<std::uint32_t, std::uint64_t, bool>();
            if (!limits)
                return fail(limits.error());
            const auto& [window, max_chunk, files] = *limits;
            if (window == 0)
                return fail({error_names::invalid_args, "The receiver has no room for a chunk"});
            window_ = std::min(window, window_);
            max_chunk_ = max_chunk;
            files_ = files;
            open_ = true;
            send_more();
        });
    }

    [[nodiscard]] bool ready() const noexcept {
        return open_ && !error_ && !finishing_ && in_flight() < window_;
    }
    [[nodiscard]] std::size_t in_flight() const noexcept { return sent_ + unsent_.size(); }
    [[nodiscard]] std::uint64_t max_chunk() const noexcept { return max_chunk_; }
    [[nodiscard]] bool finished() const noexcept { return closed_ && !error_; }
    [[nodiscard]] bool finishing() const noexcept { return finishing_; }
    [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
    [[nodiscard]] Connection& connection() const noexcept { return connection_; }

    Result<std::span<std::byte>> chunk(std::size_t size) {
        chunk_.reset();
        if (auto usable = check(); !usable)
            return std::move(usable).error();
        if (!ready())
            return Error{error_names::limits_exceeded,
                         open_ ? "The receiver lags behind" : "The stream is not open yet"};
        if (size > max_chunk_)
            return Error{error_names::limits_exceeded, "The receiver takes no chunks as long"};
        auto writer = abi::MemfdWriter::create(size, "kdbus-stream");
        if (!writer)
            return Error::from_code(writer.error(), "Memory for a chunk");
        chunk_.emplace(std::move(*writer));
        return chunk_->bytes();
    }

    Result<void> commit(std::size_t used) {
        if (auto usable = check(); !usable)
            return usable;
        if (!chunk_ || used > chunk_->bytes().size())
            return Error{error_names::invalid_args, "There is no chunk as long"};
        auto sealed = std::move(*chunk_).seal(used);
        chunk_.reset();
        if (!sealed) {
            fail(Error::from_code(sealed.error(), "Sealing a chunk"));
            return *error_;
        }
        unsent_.push_back(std::move(*sealed));
        send_more();
        if (error_)
            return *error_;
        return {};
    }

    Result<void> finish() {
        if (auto usable = check(); !usable)
            return usable;
        finishing_ = true;
        chunk_.reset();
        send_more();
        if (error_)
            return *error_;
        return {};
    }

    /// Ends it early.
    void abort(const Error& error) {
        if (error_ || closed_)
            return;
        // The text may be what D-Bus does not allow. If that is not it, there is nobody to tell.
        if (!connection_.call_no_reply(method("Abort"), error.name, error.message))
            (void)connection_.call_no_reply(method("Abort"), error_names::failed, "");
        end(error);
    }

    /// Whoever opened the stream does not want to hear of it any more.
    void leave() noexcept {
        progress_.reset();
        try {
            abort({error_names::failed, "The sender gave up"});
        } catch (const std::bad_alloc&) {
            // Then the receiver learns of it when the connection ends.
        }
    }

    void on_progress(std::move_only_function<void()> callback) {
        progress_ = std::make_shared<std::move_only_function<void()>>(std::move(callback));
    }

private:
    [[nodiscard]] Method method(std::string_view member) const {
        return {.destination = destination_,
                .path = path_,
                .interface = stream_interface,
                .member = member,
                .timeout = timeout_};
    }

    [[nodiscard]] Result<void> check() const {
        if (error_)
            return *error_;
        if (finishing_)
            return Error{error_names::failed, "The stream is finished"};
        return {};
    }

    /// Calls the receiver. What is not an error is handled by @p done; then others may have a look.
    template <class Done, class... A>
    Result<void> call(std::string_view member, std::span<const int> fds, Done done,
                      const A&... args) {
        Method what = method(member);
        what.fds = fds;
        const std::uint64_t id = ++last_id_;
        auto slot = connection_.call_async(
            what,
            [this, id, done](Result<Message> reply) {
                const auto alive = shared_from_this();
                calls_.erase(id);
                if (error_)
                    return;
                if (reply)
                    done(reply);
                else
                    fail(std::move(reply).error());
                tell();
            },
            args...);
        if (!slot)
            return std::move(slot).error();
        calls_.emplace(id, std::move(*slot));
        return {};
    }

    Result<void> send(const abi::SealedMemfd& file) {
        const auto done = [this](const Result<Message>&) {
            --sent_;
            send_more();
        };
        if (files_) {
            const std::array fds{file.fd()};
            auto sent = call("WriteFile", fds, done, UnixFd{0});
            if (sent || sent.error().name != error_names::not_supported)
                return sent;
            files_ = false; // our own way to the bus takes no descriptors
        }
        return call("Write", {}, done, file);
    }

    void send_more() {
        while (open_ && !error_ && !unsent_.empty()) {
            if (auto sent = send(unsent_.front()); !sent) {
                // Somebody's queue is full: go on when something of ours has left it.
                if (sent.error().name == error_names::limits_exceeded && sent_ > 0)
                    return;
                return fail(std::move(sent).error());
            }
            unsent_.pop_front();
            ++sent_;
        }
        if (open_ && !error_ && finishing_ && in_flight() == 0 && !closing_) {
            closing_ = true;
            if (auto sent = call("Close", {}, [this](const Result<Message>&) { closed_ = true; });
                !sent)
                fail(std::move(sent).error());
        }
    }

    /// Something went wrong: the receiver shall know, if it is still there.
    void fail(Error error) { abort(error); }

    void end(const Error& error) {
        error_ = error;
        chunk_.reset();
        unsent_.clear();
        calls_.clear();
        sent_ = 0;
    }

    void tell() {
        if (const auto progress = progress_; progress && *progress)
            (*progress)();
    }

    Connection& connection_;
    std::string destination_;
    std::string path_;
    std::uint32_t window_;
    std::chrono::nanoseconds timeout_;
    std::uint64_t max_chunk_ = 0;
    bool files_ = false;
    bool open_ = false;
    bool finishing_ = false;
    bool closing_ = false;
    bool closed_ = false;
    std::optional<Error> error_;
    std::optional<abi::MemfdWriter> chunk_;
    std::deque<abi::SealedMemfd> unsent_;
    std::size_t sent_ = 0;
    std::map<std::uint64_t, Slot> calls_;
    std::uint64_t last_id_ = 0;
    std::shared_ptr<std::move_only_function<void()>> progress_;
};

} // namespace detail

StreamWriter::StreamWriter(std::shared_ptr<detail::StreamWriterState> state) noexcept
    : state_(std::move(state)) {}
StreamWriter::StreamWriter(StreamWriter&&) noexcept = default;

StreamWriter& StreamWriter::operator=(StreamWriter&& other) noexcept {
    if (this != &other)
        if (const auto replaced = std::exchange(state_, std::move(other.state_)))
            replaced->leave();
    return *this;
}

StreamWriter::~StreamWriter() {
    if (state_)
        state_->leave();
}

Result<StreamWriter> StreamWriter::open(Connection& connection, std::string_view destination,
                                        std::string_view path, const StreamWriterOptions& options) {
    if (options.window == 0)
        return Error{error_names::invalid_args, "A stream needs room for a chunk"};
    auto state =
        std::make_shared<detail::StreamWriterState>(connection, destination, path, options);
    if (auto opened = state->open(); !opened)
        return std::move(opened).error();
    return StreamWriter(std::move(state));
}

bool StreamWriter::ready() const noexcept {
    return state_->ready();
}

std::size_t StreamWriter::in_flight() const noexcept {
    return state_->in_flight();
}

std::uint64_t StreamWriter::max_chunk() const noexcept {
    return state_->max_chunk();
}

Result<std::span<std::byte>> StreamWriter::chunk(std::size_t size) {
    return state_->chunk(size);
}

Result<void> StreamWriter::commit(std::size_t used) {
    return state_->commit(used);
}

Result<void> StreamWriter::finish() {
    return state_->finish();
}

bool StreamWriter::finished() const noexcept {
    return state_->finished();
}

void StreamWriter::abort(const Error& error) {
    state_->abort(error);
}

std::optional<Error> StreamWriter::error() const {
    return state_->error();
}

void StreamWriter::on_progress(std::move_only_function<void()> callback) {
    state_->on_progress(std::move(callback));
}

Result<void> StreamWriter::wait() {
    while (!state_->error() && !state_->ready() && !state_->finished())
        if (auto done = state_->connection().wait(); !done)
            return std::move(done).error();
    if (state_->error())
        return *state_->error();
    return {};
}

} // namespace kdbus
