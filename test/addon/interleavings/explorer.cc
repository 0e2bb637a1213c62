// SPDX-License-Identifier: Apache-2.0
#include "explorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>
#include <uv.h>

#include <memory>
#include <utility>
#include <vector>

namespace {

constexpr size_t kStack = 64 * 1024;

struct Task {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  std::function<void()> body;
  std::function<bool()> ready;
  bool ended = false;
};

struct Choice {
  unsigned taken;
  unsigned options;
};

const char* g_name;
ucontext_t g_scheduler;
std::vector<std::unique_ptr<Task>> g_tasks;
// Stacks of tasks that have ended: an exploration makes millions.
std::vector<std::unique_ptr<char[]>> g_stacks;
int g_current;
std::vector<Choice> g_path;
size_t g_depth;
unsigned g_preemptions;

void Main() {
  g_tasks[static_cast<size_t>(g_current)]->body();
  g_tasks[static_cast<size_t>(g_current)]->ended = true;
  setcontext(&g_scheduler);
}

// The task that goes on: the current one if it can, unless the path says another.
int Choose() {
  std::vector<int> able;
  const auto add = [&able](int id) {
    const Task& task = *g_tasks[static_cast<size_t>(id)];
    if (!task.ended && (!task.ready || task.ready())) able.push_back(id);
  };
  add(g_current);
  const bool preempts = !able.empty();
  for (int id = 0; id < static_cast<int>(g_tasks.size()); ++id) {
    if (id != g_current) add(id);
  }
  if (able.empty()) return -1;
  if (preempts && g_preemptions == 0) able.resize(1);
  if (able.size() == 1) return able[0];
  if (g_depth == g_path.size()) g_path.push_back({0, static_cast<unsigned>(able.size())});
  const unsigned taken = g_path[g_depth++].taken;
  if (preempts && taken != 0) --g_preemptions;
  return able[taken];
}

void Run(const std::function<void()>& program) {
  g_tasks.clear();
  g_depth = 0;
  g_current = 0;
  Spawn(program);
  for (;;) {
    const int next = Choose();
    if (next < 0) break;
    g_current = next;
    swapcontext(&g_scheduler, &g_tasks[static_cast<size_t>(next)]->context);
  }
  for (const auto& task : g_tasks) {
    if (!task->ended) Fail("every task waits: deadlock");
    g_stacks.push_back(std::move(task->stack));
  }
}

// The next path, depth first. False: that was the last.
bool Advance() {
  while (!g_path.empty() && g_path.back().taken + 1 == g_path.back().options) g_path.pop_back();
  if (g_path.empty()) return false;
  ++g_path.back().taken;
  return true;
}

}  // namespace

void Point() { swapcontext(&g_tasks[static_cast<size_t>(g_current)]->context, &g_scheduler); }

void Block(const std::function<bool()>& ready) {
  Task& task = *g_tasks[static_cast<size_t>(g_current)];
  task.ready = ready;
  Point();
  task.ready = nullptr;
}

int Spawn(std::function<void()> body) {
  auto task = std::make_unique<Task>();
  task->body = std::move(body);
  if (g_stacks.empty()) {
    task->stack = std::make_unique<char[]>(kStack);
  } else {
    task->stack = std::move(g_stacks.back());
    g_stacks.pop_back();
  }
  getcontext(&task->context);
  task->context.uc_stack.ss_sp = task->stack.get();
  task->context.uc_stack.ss_size = kStack;
  task->context.uc_link = nullptr;
  makecontext(&task->context, Main, 0);
  g_tasks.push_back(std::move(task));
  return static_cast<int>(g_tasks.size()) - 1;
}

bool Ended(int task) { return g_tasks[static_cast<size_t>(task)]->ended; }

int Current() { return g_current; }

void Fail(const char* what) {
  fprintf(stderr, "%s: %s\n  choices:", g_name, what);
  for (const Choice& choice : g_path) fprintf(stderr, " %u", choice.taken);
  fprintf(stderr, "\n");
  _exit(1);
}

unsigned long Explore(const char* name, unsigned preemptions,
                      const std::function<void()>& program) {
  g_name = name;
  g_path.clear();
  unsigned long runs = 0;
  do {
    g_preemptions = preemptions;
    Run(program);
    ++runs;
  } while (Advance());
  return runs;
}

// libuv's calls. 0 is no holder.

int uv_mutex_init(uv_mutex_t* mutex) {
  mutex->holder = 0;
  return 0;
}

void uv_mutex_destroy(uv_mutex_t* mutex) { CHECK(mutex->holder == 0); }

void uv_mutex_lock(uv_mutex_t* mutex) {
  Block([mutex] { return mutex->holder == 0; });
  mutex->holder = Current() + 1;
}

void uv_mutex_unlock(uv_mutex_t* mutex) {
  CHECK(mutex->holder == Current() + 1);
  mutex->holder = 0;
  Point();
}

int uv_cond_init(uv_cond_t* condition) {
  condition->broadcasts = 0;
  return 0;
}

void uv_cond_destroy(uv_cond_t*) {}

// Counts the broadcasts: who waits goes on after the next one.
void uv_cond_wait(uv_cond_t* condition, uv_mutex_t* mutex) {
  CHECK(mutex->holder == Current() + 1);
  const int before = condition->broadcasts;
  mutex->holder = 0;
  Block([=] { return condition->broadcasts != before && mutex->holder == 0; });
  mutex->holder = Current() + 1;
}

void uv_cond_broadcast(uv_cond_t* condition) {
  ++condition->broadcasts;
  Point();
}

int uv_thread_create_ex(uv_thread_t* thread, const uv_thread_options_t*, void (*body)(void*),
                        void* argument) {
  thread->task = Spawn([=] { body(argument); });
  Point();
  return 0;
}

int uv_thread_join(uv_thread_t* thread) {
  Block([thread] { return Ended(thread->task); });
  return 0;
}
