// SPDX-License-Identifier: LGPL-2.1-or-later
// A fuzzer of the kernel interface, led by the module's coverage where the kernel records it.
//
//   fuzz [--seconds N] [--seed N] [--workers N] [--corpus FILE] [--save FD] [--journal FD]
//   fuzz --replay FILE [--times N]
//
// Runs as root in a guest with the module loaded. --corpus begins with the programs of a file.
// --save writes those worth keeping to a descriptor at the end, --journal each program before it is
// executed: when the kernel dies, the journal's end shows of what. When the kernel's log reports a
// defect, the programs that were executed last are printed. --replay executes the programs of a
// file in order, one after the other; what is printed, saved or in a journal is such a file.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "coverage.hpp"
#include "execute.hpp"
#include "generate.hpp"
#include "objects.hpp"
#include "program.hpp"

using namespace fuzz;

namespace {

constexpr int not_possible = 77;
constexpr std::size_t remembered = 6;

struct Options {
    double seconds = 20;
    u64 seed = std::random_device()();
    unsigned workers = 2;
    std::string corpus, replay;
    int save = -1, journal = -1;
    u64 times = 1;
};

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

bool write_file(const char* path, std::string_view value) {
    std::ofstream file(path);
    file << value << std::flush;
    return file.good();
}

// All at once, so that what two threads write does not mix.
void write_all(int fd, const std::string& text) {
    if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        throw std::runtime_error(std::string("cannot write programs: ") + std::strerror(errno));
}

// Reports of injected failures are no defects.
void prepare_failures() {
    if (!write_file("/sys/kernel/debug/failslab/verbose", "0"))
        return;
    write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
    write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
    write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
    write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
    write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

// New lines of the kernel's log that look like defects. (The guest's runner judges the whole log;
// this is to know which program is to blame.)
class KernelLog {
public:
    KernelLog() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
        lseek(fd_, 0, SEEK_END);
    }
    ~KernelLog() { close(fd_); }
    KernelLog(const KernelLog&) = delete;
    KernelLog& operator=(const KernelLog&) = delete;

    std::string defect() const {
        static constexpr const char* signs[] = {"BUG",   "WARNING",    "KASAN",  "UBSAN",
                                                "KCSAN", "Call Trace", "INFO: ", "ODEBUG"};
        char line[8192];
        for (;;) {
            const ssize_t n = read(fd_, line, sizeof line - 1);
            if (n < 0 && errno == EPIPE)
                continue; // lines were lost
            if (n <= 0)
                return {};
            line[n] = 0;
            for (const char* sign : signs)
                if (std::strstr(line, sign))
                    return line;
        }
    }

private:
    int fd_;
};

// All that the workers share.
class Campaign {
public:
    explicit Campaign(const Options& options) : options_(options) {
        if (!options.corpus.empty())
            pending_ = parse_programs(read_file(options.corpus));
    }

    void work(unsigned number);
    void replay(const std::vector<Program>& programs);
    void save() const;

    bool failed() const { return failed_; }
    u64 executions() const { return executions_; }
    std::size_t places() const { return coverage_.size(); }
    std::size_t kept() const { return corpus_.size(); }
    bool recorded() const { return recorded_; }

private:
    using Clock = std::chrono::steady_clock;

    struct History {
        unsigned worker;
        std::deque<Program> programs;
    };

    bool execute(Executor& executor, History& history, const Program& program);
    Program next(Generator& generator);
    void keep(const Program& program);
    void fail(const std::string& why, const History& history);

    const Options& options_;
    const Clock::time_point end_ =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(options_.seconds));
    KernelLog log_;
    Coverage coverage_;
    std::atomic<u64> executions_ = 0;
    std::atomic<bool> failed_ = false, recorded_ = false;
    std::mutex mutex_; // for what follows
    std::vector<Program> pending_, corpus_;
};

// Tells why, and what was executed.
void Campaign::fail(const std::string& why, const History& history) {
    std::scoped_lock lock(mutex_);
    std::printf("# worker %u, seed %llu: %s\n", history.worker,
                static_cast<unsigned long long>(options_.seed), why.c_str());
    for (const Program& program : history.programs)
        std::printf("#\n%s", to_text(program).c_str());
    std::fflush(stdout);
    failed_ = true;
}

// Whether the program reached something new.
bool Campaign::execute(Executor& executor, History& history, const Program& program) {
    history.programs.push_back(program);
    if (history.programs.size() > remembered)
        history.programs.pop_front();
    if (options_.journal >= 0)
        write_all(options_.journal, "# worker " + std::to_string(history.worker) + ", " +
                                        std::to_string(executions_) + "\n" + to_text(program));
    executor.run(program);
    executions_++;
    const std::string defect = log_.defect();
    if (!executor.complaint().empty() || !defect.empty())
        fail(executor.complaint().empty() ? "the kernel's log says " + defect
                                          : executor.complaint(),
             history);
    else if (failed_)
        fail("another worker failed", history);
    return executor.gather(coverage_) > 0;
}

Program Campaign::next(Generator& generator) {
    std::scoped_lock lock(mutex_);
    if (!pending_.empty()) {
        Program program = std::move(pending_.back());
        pending_.pop_back();
        return program;
    }
    if (corpus_.empty() || generator.one_in(8)) {
        Program program = generator.generate();
        return generator.one_in(2) ? program : generator.mutate(program, program);
    }
    // Later programs reached what was hard to reach.
    const std::size_t n = corpus_.size();
    const auto pick = [&] {
        return std::max(generator.below(n), generator.one_in(2) ? generator.below(n) : 0);
    };
    return generator.mutate(corpus_[pick()], corpus_[pick()]);
}

void Campaign::keep(const Program& program) {
    std::scoped_lock lock(mutex_);
    corpus_.push_back(program);
}

void Campaign::work(unsigned number) {
    Generator generator(options_.seed * 64 + number);
    Executor executor(number);
    History history{number, {}};
    recorded_ = executor.records();
    while (!failed_ && Clock::now() < end_) {
        const Program program = next(generator);
        if (!execute(executor, history, program))
            continue;
        keep(program);
        if (!executor.records())
            continue;
        // What would have had to be different for other branches.
        const std::vector<Comparison> comparisons = executor.compare(program);
        for (int tries = 0; tries < 24 && !comparisons.empty() && !failed_; tries++) {
            const auto changed =
                generator.fulfil(program, comparisons[generator.below(comparisons.size())]);
            if (changed && execute(executor, history, *changed))
                keep(*changed);
        }
    }
}

void Campaign::replay(const std::vector<Program>& programs) {
    Executor executor(0);
    History history{0, {}};
    recorded_ = executor.records();
    for (u64 n = 0; n < options_.times && !failed_; n++)
        for (const Program& program : programs)
            execute(executor, history, program);
}

void Campaign::save() const {
    for (const Program& program : corpus_)
        write_all(options_.save, "#\n" + to_text(program));
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i++) {
        const std::string option = argv[i];
        if (i + 1 == argc)
            throw std::invalid_argument(option + " wants a value");
        const std::string value = argv[++i];
        if (option == "--seconds")
            options.seconds = std::stod(value);
        else if (option == "--seed")
            options.seed = std::stoull(value);
        else if (option == "--workers")
            options.workers = static_cast<unsigned>(std::stoul(value));
        else if (option == "--corpus")
            options.corpus = value;
        else if (option == "--save")
            options.save = std::stoi(value);
        else if (option == "--journal")
            options.journal = std::stoi(value);
        else if (option == "--replay")
            options.replay = value;
        else if (option == "--times")
            options.times = std::stoull(value);
        else
            throw std::invalid_argument("unknown option " + option);
    }
    return options;
}

bool report(int number, bool good, const char* what) {
    std::printf("%sok %d - %s\n", good ? "" : "not ", number, what);
    return good;
}

int run(const Options& options) {
    if (test::read_counters().empty())
        throw std::runtime_error(std::string("cannot read ") + test::counters_path);
    // What a program before this one left must not hide what this one leaves.
    const test::Counters before = test::leftovers({});
    prepare_failures();
    std::printf("1..3\n# seed %llu\n", static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    Campaign campaign(options);
    if (!options.replay.empty()) {
        const std::vector<Program> programs = parse_programs(read_file(options.replay));
        std::thread([&] { campaign.replay(programs); }).join();
    } else {
        std::vector<std::jthread> workers;
        for (unsigned n = 0; n < options.workers; n++)
            workers.emplace_back([&campaign, n] { campaign.work(n); });
    }
    if (options.save >= 0)
        campaign.save();
    std::printf("# executions %llu, places reached %zu, programs kept %zu\n",
                static_cast<unsigned long long>(campaign.executions()), campaign.places(),
                campaign.kept());
    const test::Counters left = test::leftovers(before);
    for (const auto& [name, count] : left)
        std::printf("# left: %s, now %ld\n", name.c_str(), count);

    bool good = report(1, !campaign.failed(), "nothing is found");
    good &= report(2, left.empty(), "no object is left in the module");
    // (Where the kernel cannot record, no program leads to the next.)
    good &= report(3, !campaign.recorded() || campaign.places() > 500, "the module is reached");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char** argv) {
    if (geteuid() != 0 || access("/dev/kdbus/control", F_OK) != 0) {
        std::fputs("needs root and the kdbus module\n", stderr);
        return not_possible;
    }
    const rlimit files{4096, 4096};
    setrlimit(RLIMIT_NOFILE, &files);
    try {
        return run(parse(argc, argv));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "fuzz: %s\n", error.what());
        return 2;
    }
}
