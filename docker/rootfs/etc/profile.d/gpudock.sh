# Login shells take PATH from /etc/profile, which knows nothing of the environment.
ENVIRONMENT=${ENVIRONMENT:-$(sed -n 's/^ENVIRONMENT=//p' /etc/environment)}
case ":$PATH:" in
    *":/opt/envs/$ENVIRONMENT/bin:"*) ;;
    *) PATH=/opt/envs/$ENVIRONMENT/bin:$PATH ;;
esac
export PATH ENVIRONMENT VIRTUAL_ENV="/opt/envs/$ENVIRONMENT"
[ -z "${BASH_VERSION:-}" ] || . /usr/local/lib/gpudock/conda.sh
