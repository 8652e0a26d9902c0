# The dashboard for others: only what looks at sets, a user of its own, nothing of the image written to, public mode.
#   docker build -t duos .   (--build-arg TORCH_INDEX=URL takes torch from an index of builds for the CPU, some gigabytes less)
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 3g --pids-limit 256 -p 8501:8501 duos
FROM python:3.11-slim-bookworm AS built

WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1

COPY constraints.txt /wheels/
COPY --from=built /wheels/ /wheels/
RUN if [ -n "$TORCH_INDEX" ]; then \
        python -m pip install --index-url "$TORCH_INDEX" "$(sed -n 's/^\(torch==.*\)/\1/p' /wheels/constraints.txt)"; \
    fi \
    && python -m pip install -c /wheels/constraints.txt /wheels/*.whl \
    && useradd --uid 1000 --create-home duo \
    && install -d -o duo /sets /compiled

# What is compiled is kept in the image, and so are the pairs of the shipped sets: the first visitor waits for neither.
ENV DUO_PUBLIC=1 \
    DUO_STORE=/sets \
    NUMBA_CACHE_DIR=/compiled \
    STREAMLIT_BROWSER_GATHER_USAGE_STATS=false \
    OMP_NUM_THREADS=1 \
    HOME=/tmp \
    PORT=8501
USER 1000
WORKDIR /tmp
RUN cp -r "$(python -c 'from duo_core.common import places; print(places.SHIPPED_SETS)')"/*/ /sets/ \
    && python -m duo_core.warmup

EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/_stcore/health\", timeout=4)"]
CMD ["sh", "-c", "exec duo app --host 0.0.0.0 --port \"$PORT\""]
