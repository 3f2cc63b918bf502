# For hands that type `conda activate`: the environment is a plain virtual environment, and this is no conda.
conda() {
    case ${1:-} in
        activate) . "/opt/envs/${2:-$ENVIRONMENT}/bin/activate" ;;
        deactivate) if command -v deactivate >/dev/null; then deactivate; fi ;;
        env | info) ls /opt/envs ;;
        *)
            echo "This environment is a virtual environment without conda: pip install NAME or uv pip install NAME." >&2
            return 1
            ;;
    esac
}
