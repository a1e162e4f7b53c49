// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/abi/memfd.hpp>

#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kdbus::abi {
namespace {

/// What the kernel demands of payload in memory files (messages.md 2.3).
constexpr int required_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// Kernels since 6.3 want to be told whether the file may be executed; glibc of
// Debian 12 does not know the flag yet.
constexpr unsigned noexec_seal = 0x0008U;

Result<UniqueFd> create_memfd(const char* name) noexcept {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | noexec_seal);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return fail();
    return UniqueFd(fd);
}

Result<void> set_size(int fd, std::uint64_t size) noexcept {
    if (size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
        return fail(EFBIG);
    if (ftruncate(fd, static_cast<off_t>(size)) < 0)
        return fail();
    return {};
}

} // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(length_, other.length_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

Mapping::~Mapping() {
    if (base_ != nullptr)
        munmap(base_, length_);
}

Result<Mapping> Mapping::map(int fd, std::uint64_t start, std::uint64_t size,
                             Access access) noexcept {
    Mapping result;
    if (size == 0)
        return result;
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    const std::uint64_t lead = start % page;
    // Offsets are signed: a range that ends above that maximum wraps or cannot exist.
    constexpr std::uint64_t limit = std::numeric_limits<off_t>::max();
    if (start > limit || size > limit - start || size + lead > std::numeric_limits<size_t>::max())
        return fail(EOVERFLOW);
    const int protection = access == Access::write ? PROT_READ | PROT_WRITE : PROT_READ;
    const std::size_t length = size + lead;
    void* base =
        mmap(nullptr, length, protection, MAP_SHARED, fd, static_cast<off_t>(start - lead));
    if (base == MAP_FAILED)
        return fail();
    result.base_ = base;
    result.length_ = length;
    result.bytes_ = {static_cast<std::byte*>(base) + lead, static_cast<std::size_t>(size)};
    return result;
}

Result<SealedMemfd> SealedMemfd::adopt(UniqueFd fd) noexcept {
    const int seals = fcntl(fd.get(), F_GET_SEALS);
    if (seals < 0)
        return fail(errno == EINVAL ? EMEDIUMTYPE : errno);
    if ((seals & required_seals) != required_seals &&
        fcntl(fd.get(), F_ADD_SEALS, required_seals) < 0)
        return fail();
    struct stat status {};
    if (fstat(fd.get(), &status) < 0)
        return fail();
    return SealedMemfd(std::move(fd), static_cast<std::uint64_t>(status.st_size));
}

Result<SealedMemfd> SealedMemfd::copy(std::span<const std::byte> content,
                                      const char* name) noexcept {
    auto fd = create_memfd(name);
    if (!fd)
        return std::unexpected(fd.error());
    while (!content.empty()) {
        const ssize_t written = write(fd->get(), content.data(), content.size());
        if (written < 0 && errno != EINTR)
            return fail();
        if (written > 0)
            content = content.subspan(static_cast<std::size_t>(written));
    }
    return adopt(std::move(*fd));
}

Result<Mapping> SealedMemfd::map() const noexcept {
    return Mapping::map(fd_.get(), 0, size_, Mapping::Access::read);
}

Result<MemfdWriter> MemfdWriter::create(std::uint64_t size, const char* name) noexcept {
    auto fd = create_memfd(name);
    if (!fd)
        return std::unexpected(fd.error());
    if (auto sized = set_size(fd->get(), size); !sized)
        return std::unexpected(sized.error());
    auto mapping = Mapping::map(fd->get(), 0, size, Mapping::Access::write);
    if (!mapping)
        return std::unexpected(mapping.error());
    return MemfdWriter(std::move(*fd), std::move(*mapping));
}

Result<SealedMemfd> MemfdWriter::seal() && noexcept {
    // A writable mapping would forbid the write seal.
    { const Mapping unmapped = std::move(mapping_); }
    return SealedMemfd::adopt(std::move(fd_));
}

Result<SealedMemfd> MemfdWriter::seal(std::uint64_t size) && noexcept {
    if (size != mapping_.bytes().size())
        if (auto sized = set_size(fd_.get(), size); !sized)
            return std::unexpected(sized.error());
    return std::move(*this).seal();
}

} // namespace kdbus::abi
