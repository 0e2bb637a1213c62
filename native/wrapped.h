// SPDX-License-Identifier: Apache-2.0
// JavaScript objects that stand for native ones. Each carries its class' type tag, and every
// method asks its receiver for it: an object of another class, another addon or none is
// refused instead of being misread.
//
// The methods of every access are bound instead: each object has functions of its own, which
// know their native object and compare the receiver with the one that they belong to. That is
// as strict, and costs a tenth: looking up a tag and a wrapped pointer takes longer than an
// access itself.
//
// A class T has: static constexpr Class kClass; static const char kName[]; static const
// napi_type_tag kTag; and Collected(napi_env), called when its object is no longer reachable.
// With bound methods it has a public weak reference `self` to its object, too.
#ifndef NODE_CXL_WRAPPED_H_
#define NODE_CXL_WRAPPED_H_

#include <node_api.h>

#include "environment.h"
#include "errors.h"

namespace cxl {

struct BoundMethod {
  const char* name;
  napi_callback call;
};

template <class T>
class Wrapped {
 public:
  static bool Define(napi_env env, const napi_property_descriptor* methods, size_t count) {
    Environment* environment = Environment::Of(env);
    if (environment == nullptr) return false;
    napi_value constructor;
    return Succeeded(env, napi_define_class(env, T::kName, NAPI_AUTO_LENGTH, Construct, nullptr,
                                            count, methods, &constructor)) &&
           Succeeded(env, napi_create_reference(
                              env, constructor, 1,
                              &environment->constructors[static_cast<size_t>(T::kClass)]));
  }

  // A JavaScript object for a native one. nullptr with an exception pending.
  static napi_value New(napi_env env, T* object) {
    Environment* environment = Environment::Of(env);
    napi_value constructor;
    napi_value instance = nullptr;
    if (environment == nullptr ||
        !Succeeded(env, napi_get_reference_value(
                            env, environment->constructors[static_cast<size_t>(T::kClass)],
                            &constructor))) {
      return nullptr;
    }
    environment->constructing = object;
    const napi_status status = napi_new_instance(env, constructor, 0, nullptr, &instance);
    environment->constructing = nullptr;
    return Succeeded(env, status) ? instance : nullptr;
  }

  // The native object behind a receiver. nullptr with an exception pending.
  static T* Receiver(napi_env env, napi_value self) {
    bool matches = false;
    void* object = nullptr;
    if (napi_check_object_type_tag(env, self, &T::kTag, &matches) == napi_ok && matches &&
        napi_unwrap(env, self, &object) == napi_ok) {
      return static_cast<T*>(object);
    }
    ThrowTypeError(env, "the receiver is not an object of this class of node-cxl");
    return nullptr;
  }

  // Gives an object its bound methods. False with an exception pending.
  static bool Bind(napi_env env, napi_value instance, T* object, const BoundMethod* methods,
                   size_t count) {
    if (!Succeeded(env, napi_create_reference(env, instance, 0, &object->self))) return false;
    for (size_t i = 0; i < count; ++i) {
      napi_value function;
      if (!Succeeded(env, napi_create_function(env, methods[i].name, NAPI_AUTO_LENGTH,
                                               methods[i].call, object, &function))) {
        return false;
      }
      // Taken from its object, a function may outlive it.
      object->Retain();
      if (!Succeeded(env,
                     napi_add_finalizer(env, function, object, ReleaseBound, nullptr, nullptr))) {
        object->Release();
        return false;
      }
      const napi_property_descriptor property = {methods[i].name, nullptr,  nullptr,      nullptr,
                                                 nullptr,         function, napi_default, nullptr};
      if (!Succeeded(env, napi_define_properties(env, instance, 1, &property))) return false;
    }
    return true;
  }

  // The native object of a bound method. nullptr with an exception pending.
  template <class Arguments>
  static T* BoundReceiver(napi_env env, const Arguments& arguments) {
    T* object = static_cast<T*>(arguments.data());
    napi_value own = nullptr;
    bool same = false;
    if (object->self != nullptr && napi_get_reference_value(env, object->self, &own) == napi_ok &&
        own != nullptr && napi_strict_equals(env, own, arguments.self(), &same) == napi_ok &&
        same) {
      return object;
    }
    ThrowTypeError(env, "the receiver is not the object of node-cxl that the method belongs to");
    return nullptr;
  }

 private:
  static napi_value Construct(napi_env env, napi_callback_info info) {
    napi_value self;
    Environment* environment = Environment::Of(env);
    if (environment == nullptr ||
        !Succeeded(env, napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr))) {
      return nullptr;
    }
    T* object = static_cast<T*>(std::exchange(environment->constructing, nullptr));
    if (object == nullptr) {
      ThrowTypeError(env, "the classes of node-cxl have no public constructor");
      return nullptr;
    }
    if (!Succeeded(env, napi_type_tag_object(env, self, &T::kTag)) ||
        !Succeeded(env, napi_wrap(env, self, object, Finalize, nullptr, nullptr))) {
      return nullptr;
    }
    object->Retain();
    return self;
  }

  static void Finalize(napi_env env, void* data, void*) {
    T* object = static_cast<T*>(data);
    object->Collected(env);
    object->Release();
  }

  static void ReleaseBound(napi_env, void* object, void*) { static_cast<T*>(object)->Release(); }
};

}  // namespace cxl

#endif  // NODE_CXL_WRAPPED_H_
