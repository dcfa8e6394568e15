# The folders under the names they are imported by, for type checkers: links, and the generated code.
python=$1 tree=$2
shift 2
root=$(pwd)
mkdir -p "$tree/coexec"
for folder in "$@"; do ln -sfn "$root/$folder" "$tree/coexec/$folder"; done
installed=$("$python" -c 'import coexec.protos, os; print(os.path.dirname(coexec.protos.__file__))')
ln -sfn "$installed" "$tree/coexec/protos"
