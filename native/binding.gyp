{
  "targets": [
    {
      "target_name": "node_cxl",
      "conditions": [
        ["OS=='linux'", {
          "sources": ["<!@(find . -path ./build -prune -o -name '*.cc' -print | sort)"],
          "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
          "defines": [
            "NAPI_VERSION=8",
            "NAPI_DISABLE_CPP_EXCEPTIONS",
            # Where the environment may be ending, an exception can no longer be thrown.
            "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
            "NODE_ADDON_API_DISABLE_DEPRECATED"
          ],
          # Less than half of what -O3 makes of node-addon-api's inline functions, and no slower.
          "cflags!": ["-O3"],
          # Warnings are errors in a clone, not where a user's newer compiler knows more of them.
          "cflags": [
            "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections",
            "<!@(node -p \"require('fs').existsSync('../test') ? '-Werror' : ''\")"
          ],
          "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-frtti"],
          "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti", "-fvisibility-inlines-hidden"],
          "ldflags": [
            "-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,--gc-sections",
            "-Wl,--version-script=<(module_root_dir)/exports.map"
          ]
        }, {
          "type": "none"
        }],
        ["OS=='linux' and target_arch=='ppc64'", { "cflags": ["-mcpu=power8"] }]
      ]
    }
  ]
}
