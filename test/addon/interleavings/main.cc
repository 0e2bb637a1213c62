// SPDX-License-Identifier: Apache-2.0
// An operation thread and JavaScript's thread in every order: whatever is submitted or posted runs
// at most once, in order, and is destroyed once; each promise settles once; no wake-up is lost.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "explorer.h"
#include "native/environment.h"
#include "native/threads/operation_thread.h"

namespace {

// What became of one operation.
struct Record {
  int runs = 0;
  int answers = 0;
  int destroyed = 0;
};

struct World {
  cxl::Environment environment;
  std::vector<std::unique_ptr<Record>> records;
  std::vector<std::unique_ptr<Promise>> promises;
  std::vector<Record*> order;
  bool running = false;
  bool stopped = false;
};

World* g_world;

class Recorded : public cxl::Operation {
 public:
  explicit Recorded(Record* record) : record_(record) {}
  ~Recorded() override { CHECK(++record_->destroyed == 1); }
  void Run() override {
    CHECK(++record_->runs == 1);
    CHECK(!g_world->running);
    CHECK(!g_world->stopped);
    g_world->running = true;
    g_world->order.push_back(record_);
    Point();
    g_world->running = false;
  }
  Napi::Value Answer(Napi::Env env) override {
    CHECK(Current() == 0);
    CHECK(record_->runs == 1 && ++record_->answers == 1);
    return Napi::Number::New(env, 0);
  }

 private:
  Record* record_;
};

std::unique_ptr<cxl::Operation> New(World* world) {
  world->records.push_back(std::make_unique<Record>());
  return std::make_unique<Recorded>(world->records.back().get());
}

// What JavaScript's thread does: s submit, p post, d a turn of the event loop, w turns until all
// promises are settled. Then the environment ends, after which s and p are refused.
void Program(const char* actions) {
  World world;
  g_world = &world;
  {
    cxl::OperationThread thread(world.environment);
    const Napi::Env env;
    const auto turn = [&] {
      if (!world.environment.woken) return;
      world.environment.woken = false;
      thread.Deliver(env);
    };
    for (const char* action = actions; *action != '\0'; ++action) {
      switch (*action) {
        case 's':
          thread.Submit(env, New(&world));
          break;
        case 'p':
          thread.Post(New(&world));
          break;
        case 'd':
          turn();
          break;
        case 'w':
          while (world.environment.references > 0) {
            Block([&world] { return world.environment.woken; });
            turn();
          }
          CHECK(thread.load() == 0);
          for (const auto& promise : world.promises) CHECK(promise->settled == 1);
          break;
      }
    }
    world.environment.ending = true;
    thread.Stop();
    world.stopped = true;
    thread.Submit(env, New(&world));
    thread.Post(New(&world));
  }
  for (const auto& promise : world.promises) CHECK(promise->settled <= 1);
  size_t ran = 0;
  for (const auto& record : world.records) {
    CHECK(record->destroyed == 1);
    // In the order in which they came: none is overtaken.
    if (record->runs == 1) CHECK(world.order[ran++] == record.get());
  }
  CHECK(ran == world.order.size());
}

// Every sequence of so many actions.
unsigned long ExploreAll(unsigned length, unsigned preemptions) {
  static const char kActions[] = "spdw";
  unsigned long runs = 0;
  unsigned total = 1;
  for (unsigned i = 0; i < length; ++i) total *= 4;
  for (unsigned number = 0; number < total; ++number) {
    std::string actions;
    for (unsigned i = 0, rest = number; i < length; ++i, rest /= 4) actions += kActions[rest % 4];
    runs += Explore(actions.c_str(), preemptions, [&actions] { Program(actions.c_str()); });
  }
  return runs;
}

}  // namespace

napi_status napi_create_promise(napi_env, napi_deferred* deferred, napi_value* promise) {
  g_world->promises.push_back(std::make_unique<Promise>());
  *deferred = g_world->promises.back().get();
  *promise = *deferred;
  return napi_ok;
}

void cxl::Environment::Wake() {
  Point();
  woken = true;
  Point();
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const auto length = static_cast<unsigned>(atoi(arguments[1]));
  const auto preemptions = static_cast<unsigned>(atoi(arguments[2]));
  const unsigned long runs = ExploreAll(length, preemptions);
  printf(
      "operation thread: %lu interleavings of all programs of %u actions, up to %u preemptions\n",
      runs, length, preemptions);
  return 0;
}
