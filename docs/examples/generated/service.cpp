// SPDX-License-Identifier: LGPL-2.1-or-later
// Serves org.example.Counter, as its introspection data say.
#include <iostream>
#include <org.example.Counter-adaptor.hpp>

namespace {

class Counter {
public:
    explicit Counter(kdbus::Connection& bus) : adaptor_(bus, "/org/example/Counter") {}
    void serve() { adaptor_.serve(*this).value(); }

    kdbus::Result<std::int32_t> Add(std::int32_t by) {
        if (__builtin_add_overflow(value_, by, &value_)) {
            adaptor_.emit_Overflowed(value_).value();
            return kdbus::Error{"org.example.Error.Overflow", "That was too much"};
        }
        adaptor_.emit_Value_changed().value();
        return value_;
    }
    std::int32_t get_Value() const { return value_; }
    const std::string& get_Label() const { return label_; }
    void set_Label(const std::string& label) { label_ = label; }

private:
    org::example::CounterAdaptor adaptor_;
    std::int32_t value_ = 0;
    std::string label_ = "things";
};

} // namespace

int main() try {
    auto bus = kdbus::Connection::system().value();
    Counter counter(bus);
    counter.serve();
    bus.request_name("org.example.Counter").value();
    std::cout << "serving as " << bus.unique_name() << std::endl;
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
