# For hands that type `conda activate`. With image.env=conda it is the real one.
if [ -r /opt/conda/etc/profile.d/conda.sh ]; then
    . /opt/conda/etc/profile.d/conda.sh
    return 0
fi
# Else the environment is a plain virtual environment, and this is no conda.
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
