# Login shells take PATH from /etc/profile, which knows nothing of the environment.
ENVIRONMENT=${ENVIRONMENT:-$(sed -n 's/^ENVIRONMENT=//p' /etc/environment)}
case ":$PATH:" in
    *":/opt/envs/$ENVIRONMENT/bin:"*) ;;
    *) PATH=/opt/envs/$ENVIRONMENT/bin:$PATH ;;
esac
export PATH ENVIRONMENT
if [ -d /opt/conda ]; then
    export CONDA_PREFIX="/opt/envs/$ENVIRONMENT" CONDA_DEFAULT_ENV="$ENVIRONMENT"
else
    export VIRTUAL_ENV="/opt/envs/$ENVIRONMENT"
fi
[ -z "${BASH_VERSION:-}" ] || . /usr/local/lib/gpudock/conda.sh

# For people, not for programs: the greeting, and the operator's own login scripts. Neither can end the shell: in a
# condition `set -e` does nothing, and `exit` is for once a word that does nothing either.
case $- in
    *i*)
        [ -e "$HOME/.hushlogin" ] || gpudock-greeting
        for gpudock_script in /etc/gpudock/scripts/login/*; do
            [ -e "$gpudock_script" ] || continue
            exit() { return "${1:-0}"; }
            . "$gpudock_script" || echo "login script ${gpudock_script##*/}: failed with exit code $?" >&2
            unset -f exit
            set +eu
        done
        unset gpudock_script
        ;;
esac
