/** The scripts that make shells ask the program what can come next. */

export type Shell = 'bash' | 'zsh' | 'fish';

/** bash splits words at `:` and `=` too, so the line is split here, and what bash has is cut off. */
const BASH = `# bash completion of node-cxl. To install, add to ~/.bashrc:
#   source <(node-cxl completion bash)
_node_cxl() {
  local line=\${COMP_LINE:0:COMP_POINT} word prefix
  local -a words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current=\${words[-1]}
  prefix=\${current%"\${current##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    if [[ $word == :files ]]; then
      compopt -o default 2> /dev/null
      return
    fi
    [[ $word == *= ]] && compopt -o nospace 2> /dev/null
    COMPREPLY+=("\${word#"$prefix"}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2> /dev/null)
}
complete -F _node_cxl node-cxl`;

const ZSH = `#compdef node-cxl
# zsh completion of node-cxl. To install, add to ~/.zshrc, after compinit:
#   source <(node-cxl completion zsh)
_node_cxl() {
  local line
  local -a described
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2> /dev/null)
  _describe 'node-cxl' described
}
compdef _node_cxl node-cxl`;

const FISH = `# fish completion of node-cxl. To install:
#   node-cxl completion fish > ~/.config/fish/completions/node-cxl.fish
function __node_cxl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete -- $words[2..-1] 2> /dev/null)
    if test "$found[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        string join \\n -- $found
    end
end
complete -c node-cxl -f -a '(__node_cxl_complete)'`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
