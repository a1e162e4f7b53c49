// SPDX-License-Identifier: LGPL-2.1-or-later
#include "objects.hpp"
#include "stream.hpp"

#include <kdbus/stream.hpp>

#include <new>
#include <string>
#include <utility>
#include <vector>

namespace kdbus {
namespace detail {

class StreamReaderState : public std::enable_shared_from_this<StreamReaderState> {
public:
    StreamReaderState(Connection& connection, StreamReader::ChunkHandler on_chunk,
                      StreamReader::EndHandler on_end, const StreamReaderOptions& options)
        : connection_(connection), options_(options), on_chunk_(std::move(on_chunk)),
          on_end_(std::move(on_end)) {}

    Result<void> serve(std::string_view path) {
        Interface interface(stream_interface);
        const auto self = shared_from_this();
        interface.method("Open", [self](const Message& call) { return self->open(call); },
                         {.in = {}, .out = {"window", "max_chunk", "files"}});
        interface.method(
            "Write",
            [self](const Message& call, Responder responder, std::span<const std::byte> data) {
                self->write(call, std::move(responder), data);
            },
            {.in = {"data"}});
        interface.method("WriteFile",
                         [self](const Message& call, Responder responder, UnixFd file) {
                             self->write_file(call, std::move(responder), file);
                         },
                         {.in = {"file"}});
        interface.method("Close", [self](const Message& call) { return self->close(call); });
        interface.method("Abort",
                         [self](const Message& call, std::string name, std::string text) {
                             return self->abort(call, {std::move(name), std::move(text)});
                         },
                         {.in = {"name", "text"}});
        auto object = connection_.add_object(path, std::move(interface));
        if (!object)
            return std::move(object).error();
        object_ = std::move(*object);
        return {};
    }

    void cancel(Error error) noexcept {
        if (over_)
            return;
        over_ = std::move(error);
        failed_ = true;
        forget();
    }
    /// Whoever asked for the stream does not want to hear of it any more.
    void leave() noexcept {
        object_.reset();
        cancel(std::move(gave_up_));
    }

    /// Why the stream did not come to its end; nullptr if it did, or goes on.
    [[nodiscard]] const Error* failure() const noexcept { return failed_ ? &*over_ : nullptr; }
    void chunk_released() noexcept { --held_; }

private:
    using Limits = std::tuple<std::uint32_t, std::uint64_t, bool>;

    Result<Limits> open(const Message& call) {
        if (over_)
            return *over_;
        if (open_)
            return Error{error_names::limits_exceeded, "The stream has a sender"};
        sender_ = call.sender();
        if (!sender_.empty())
            if (auto watched = watch_sender(); !watched)
                return std::move(watched).error();
        open_ = true;
        return Limits(options_.window, options_.max_chunk, options_.files);
    }

    /// Ends the stream with its sender, who may be gone already.
    Result<void> watch_sender() {
        auto watch = connection_.watch_name(
            sender_, [self = weak_from_this()](std::string_view, std::string_view owner) {
                if (const auto state = self.lock(); state && owner.empty())
                    state->end(Error{error_names::no_reply, "The sender went away"});
            });
        if (!watch)
            return std::move(watch).error();
        watch_ = std::move(*watch);
        return {};
    }

    [[nodiscard]] Result<void> check(const Message& call) const {
        if (over_)
            return *over_;
        if (!open_ || call.sender() != sender_)
            return Error{error_names::access_denied, "Whoever sends has to open the stream"};
        return {};
    }
    [[nodiscard]] Result<void> check_chunk(const Message& call) {
        if (auto good = check(call); !good)
            return good;
        if (held_ >= options_.window)
            return broken({error_names::limits_exceeded, "More chunks than agreed on"});
        return {};
    }
    /// The sender broke the rules: the stream is over.
    Error broken(Error error) {
        end(error);
        return error;
    }

    void write(const Message& call, Responder responder, std::span<const std::byte> data) {
        if (auto good = check_chunk(call); !good)
            return responder.fail(good.error());
        if (data.size() > options_.max_chunk)
            return responder.fail(broken(too_long()));
        std::vector<std::byte> copy;
        try {
            copy.assign(data.begin(), data.end());
        } catch (const std::bad_alloc&) { // before a chunk is there, which would confirm itself
            return responder.fail(broken({error_names::no_memory, "No memory for a chunk"}));
        }
        StreamChunk chunk(weak_from_this(), std::move(responder));
        ++held_;
        chunk.copy_ = std::move(copy);
        chunk.data_ = chunk.copy_;
        deliver(std::move(chunk));
    }

    void write_file(const Message& call, Responder responder, UnixFd index) {
        if (auto good = check_chunk(call); !good)
            return responder.fail(good.error());
        auto mapping = map(call, index);
        if (!mapping)
            return responder.fail(broken(std::move(mapping).error()));
        StreamChunk chunk(weak_from_this(), std::move(responder));
        ++held_;
        chunk.mapping_ = std::move(*mapping);
        chunk.data_ = chunk.mapping_.bytes();
        deliver(std::move(chunk));
    }

    [[nodiscard]] Result<abi::Mapping> map(const Message& call, UnixFd index) const {
        auto fd = call.take_fd(index);
        if (!fd)
            return std::move(fd).error();
        // Without its seals the sender could change it, or shrink it and crash us.
        const auto file = abi::SealedMemfd::adopt(std::move(*fd));
        if (!file)
            return Error{error_names::invalid_args,
                         "The descriptor is no sealed memory file: " + file.error().message()};
        if (file->size() > options_.max_chunk)
            return too_long();
        auto mapping = file->map();
        if (!mapping)
            return Error::from_code(mapping.error(), "Mapping a chunk");
        return std::move(*mapping);
    }

    static Error too_long() {
        return {error_names::limits_exceeded, "A longer chunk than agreed on"};
    }

    void deliver(StreamChunk chunk) {
        const auto delivered = guarded([&]() -> Result<void> {
            on_chunk_(std::move(chunk));
            return {};
        });
        if (!delivered)
            end(delivered.error());
    }

    Result<void> close(const Message& call) {
        if (auto good = check(call); !good)
            return good;
        end({});
        return {};
    }

    Result<void> abort(const Message& call, Error error) {
        if (auto good = check(call); !good)
            return good;
        end(std::move(error));
        return {};
    }

    void end(Result<void> how) {
        if (over_)
            return;
        over_ = how ? Error{error_names::failed, "The stream is over"} : how.error();
        failed_ = !how;
        const auto alive = shared_from_this();
        auto on_end = std::exchange(on_end_, nullptr);
        forget();
        if (on_end)
            on_end(std::move(how));
    }
    void forget() noexcept {
        watch_.reset();
        on_end_ = nullptr;
    }

    Connection& connection_;
    StreamReaderOptions options_;
    StreamReader::ChunkHandler on_chunk_;
    StreamReader::EndHandler on_end_;
    Slot object_;
    Slot watch_; ///< for the sender's death
    std::string sender_;
    std::uint32_t held_ = 0; ///< chunks that are not released
    bool open_ = false;
    bool failed_ = false;       ///< it is over, but not complete
    std::optional<Error> over_; ///< what who goes on sending is told
    /// What that is if we are left, which must not fail for lack of memory.
    Error gave_up_{error_names::failed, "The receiver gave up"};
};

} // namespace detail

StreamChunk& StreamChunk::operator=(StreamChunk&& other) noexcept {
    if (this != &other) {
        release();
        stream_ = std::move(other.stream_);
        responder_ = std::exchange(other.responder_, std::nullopt);
        mapping_ = std::move(other.mapping_);
        copy_ = std::move(other.copy_);
        data_ = std::exchange(other.data_, {});
    }
    return *this;
}

StreamChunk::~StreamChunk() {
    release();
}

void StreamChunk::release() noexcept {
    data_ = {};
    { const abi::Mapping unmapped = std::move(mapping_); }
    { const std::vector<std::byte> freed = std::move(copy_); }
    auto responder = std::exchange(responder_, std::nullopt);
    if (!responder)
        return;
    const auto stream = std::exchange(stream_, {}).lock();
    if (stream)
        stream->chunk_released();
    try {
        if (const Error* failure = stream ? stream->failure() : nullptr)
            responder->fail(*failure);
        else
            responder->send();
    } catch (const std::bad_alloc&) {
        // Then the sender's patience has to end the stream.
    }
}

StreamReader::StreamReader(std::shared_ptr<detail::StreamReaderState> state) noexcept
    : state_(std::move(state)) {}
StreamReader::StreamReader(StreamReader&&) noexcept = default;

StreamReader& StreamReader::operator=(StreamReader&& other) noexcept {
    if (this != &other)
        if (const auto replaced = std::exchange(state_, std::move(other.state_)))
            replaced->leave();
    return *this;
}

StreamReader::~StreamReader() {
    if (state_)
        state_->leave();
}

Result<StreamReader> StreamReader::create(Connection& connection, std::string_view path,
                                          ChunkHandler on_chunk, EndHandler on_end,
                                          const StreamReaderOptions& options) {
    if (options.window == 0 || options.max_chunk == 0)
        return Error{error_names::invalid_args,
                     "A stream needs room for a chunk, and a chunk for a byte"};
    auto state = std::make_shared<detail::StreamReaderState>(connection, std::move(on_chunk),
                                                             std::move(on_end), options);
    if (auto served = state->serve(path); !served)
        return std::move(served).error();
    return StreamReader(std::move(state));
}

void StreamReader::cancel(Error error) {
    state_->cancel(std::move(error));
}

} // namespace kdbus
