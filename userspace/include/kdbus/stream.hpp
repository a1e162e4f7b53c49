// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_STREAM_HPP
#define KDBUS_STREAM_HPP

#include <kdbus/abi/memfd.hpp>
#include <kdbus/bus.hpp>
#include <kdbus/export.hpp>
#include <kdbus/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

/// Streams: any number of bytes from one connection to another, in chunks that the sender writes
/// into memory files and the receiver reads from there, without a copy in between.
///
/// On the bus a stream is an object of the receiver with the interface org.kdbus.Stream1, which any
/// D-Bus program can speak:
///
///     Open() -> (window u, max_chunk t, files b)   by who wants to send; there is one sender
///     Write(data ay)      the next bytes
///     WriteFile(file h)   the same, as a memory file with all seals (F_SEAL_SEAL, _SHRINK, _GROW,
///                         _WRITE), all of it; if `files` was true
///     Close()             that was all
///     Abort(name s, text s)   that was not all: an error
///
/// Write and WriteFile are answered when the receiver has done with the bytes; the sender has no
/// more than `window` of them unanswered, which is not 0, nor one longer than `max_chunk`. An error
/// as the answer to any ends the stream. The order is that of the messages.
namespace kdbus {

namespace detail {
class StreamWriterState;
class StreamReaderState;
} // namespace detail

/// How to send a stream.
struct StreamWriterOptions {
    /// Chunks on their way at most, if the receiver allows as many; at least one.
    std::uint32_t window = 8;
    /// How long the receiver may take for a chunk until it counts as dead.
    std::chrono::nanoseconds timeout = std::chrono::seconds(25);
};

/// The sending end of a stream. Everything happens while the connection is processed, by an event
/// loop or by wait(). Belongs to the connection's thread; the connection must stay where it is and
/// outlive it. Movable. If it is destroyed before finished(), the receiver is told that the stream
/// is incomplete.
class KDBUS_EXPORT StreamWriter {
public:
    /// Opens the stream that @p destination receives at @p path; does not wait. Errors: InvalidArgs
    /// for a window of 0; those of call_async(). What the receiver says becomes error().
    [[nodiscard]] static Result<StreamWriter> open(Connection& connection,
                                                   std::string_view destination,
                                                   std::string_view path,
                                                   const StreamWriterOptions& options = {});
    StreamWriter(StreamWriter&&) noexcept;
    /// Ends the stream that was there as destruction would.
    StreamWriter& operator=(StreamWriter&& other) noexcept;
    ~StreamWriter();

    /// Whether chunk() would give one: the stream is open, has not failed, and the receiver does
    /// not lag behind by a whole window.
    [[nodiscard]] bool ready() const noexcept;
    /// Chunks that the receiver has not done with: how far it lags behind.
    [[nodiscard]] std::size_t in_flight() const noexcept;
    /// Most bytes in a chunk, as the receiver says; 0 before it has answered.
    [[nodiscard]] std::uint64_t max_chunk() const noexcept;

    /// Memory for the next chunk, @p size zero bytes, page-aligned, valid until commit() or the
    /// next chunk(), which forgets it. Errors: the stream's; LimitsExceeded if not ready() or
    /// longer than max_chunk(); those of making a memory file.
    Result<std::span<std::byte>> chunk(std::size_t size);
    /// Sends the first @p used bytes of the chunk. Errors: the stream's; InvalidArgs if there is no
    /// chunk or it is shorter; those of sealing and sending, which end the stream.
    Result<void> commit(std::size_t used);
    /// There will be no more chunks. Errors: the stream's.
    Result<void> finish();
    /// After finish(): whether the receiver has done with everything.
    [[nodiscard]] bool finished() const noexcept;
    /// Ends the stream, incomplete; the receiver is told why.
    void abort(const Error& error);

    /// What ended the stream early: the receiver's refusal or death (NoReply, ServiceUnknown,
    /// UnknownObject), say; nothing as long as all is well.
    [[nodiscard]] std::optional<Error> error() const;

    /// Has @p callback called when ready() or finished() may have become true, or an error
    /// occurred. It may do everything, but destroy the connection. There is one.
    void on_progress(std::move_only_function<void()> callback);

    /// Processes the connection until ready(), after finish() until finished(). Not for programs
    /// with an event loop, nor for handlers. Errors: the stream's; those of Connection::wait().
    Result<void> wait();

private:
    explicit StreamWriter(std::shared_ptr<detail::StreamWriterState> state) noexcept;

    std::shared_ptr<detail::StreamWriterState> state_;
};

/// A piece of a stream as it was received. The sender may send another when it is destroyed, which
/// the connection's thread must do. May outlive reader and connection. Movable.
class KDBUS_EXPORT StreamChunk {
public:
    /// The bytes: the sender's memory, mapped for reading, which cannot change any more (or a copy,
    /// see StreamReaderOptions). Valid as long as the chunk.
    [[nodiscard]] std::span<const std::byte> data() const noexcept { return data_; }

    StreamChunk(StreamChunk&&) noexcept = default;
    StreamChunk& operator=(StreamChunk&& other) noexcept;
    ~StreamChunk();

private:
    friend class detail::StreamReaderState;
    StreamChunk(std::weak_ptr<detail::StreamReaderState> stream, Responder responder) noexcept
        : stream_(std::move(stream)), responder_(std::move(responder)) {}
    void release() noexcept;

    std::weak_ptr<detail::StreamReaderState> stream_;
    std::optional<Responder> responder_; ///< to the sender
    abi::Mapping mapping_;
    std::vector<std::byte> copy_;
    std::span<const std::byte> data_;
};

/// How to receive a stream.
struct StreamReaderOptions {
    /// Chunks that may be on their way or with us, at least one: they bound the memory used.
    std::uint32_t window = 8;
    /// Bytes in a chunk at most, at least one.
    std::uint64_t max_chunk = std::uint64_t{64} * 1024 * 1024;
    /// Whether chunks may come as memory files. If not, and from senders that cannot pass
    /// descriptors, they come as arrays of bytes and are copied. Must be false for connections that
    /// do not accept descriptors.
    bool files = true;
};

/// The receiving end of a stream: an object on the bus, for one stream from whoever opens it first.
/// Belongs to the connection's thread; the connection must stay where it is and outlive it.
/// Movable. If it is destroyed before the end, the sender gets an error.
class KDBUS_EXPORT StreamReader {
public:
    /// Takes what has come.
    using ChunkHandler = std::move_only_function<void(StreamChunk)>;
    /// Takes how the stream ended.
    using EndHandler = std::move_only_function<void(Result<void>)>;

    /// Waits for a sender at @p path. @p on_chunk is called with each chunk, in order; what it
    /// throws cancels the stream. @p on_end is called once: with success when the sender has
    /// finished; with an error if it gave up, went away, or broke the rules. (From peer to peer,
    /// the sender goes away with the connection, whose end is all that is told.) Errors:
    /// InvalidArgs for a window or max_chunk of 0; those of add_object().
    [[nodiscard]] static Result<StreamReader> create(Connection& connection, std::string_view path,
                                                     ChunkHandler on_chunk, EndHandler on_end,
                                                     const StreamReaderOptions& options = {});
    StreamReader(StreamReader&&) noexcept;
    /// Ends the stream that was there as destruction would.
    StreamReader& operator=(StreamReader&& other) noexcept;
    ~StreamReader();

    /// Wants no more: whatever the sender does next fails with @p error. on_end is not called any
    /// more.
    void cancel(Error error);

private:
    explicit StreamReader(std::shared_ptr<detail::StreamReaderState> state) noexcept;

    std::shared_ptr<detail::StreamReaderState> state_;
};

} // namespace kdbus

#endif
