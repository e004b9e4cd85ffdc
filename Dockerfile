# One replica of the app for strangers.  All of them, behind nginx: docker compose up --build
FROM python:3.11-slim

# Where pip finds the small CPU build of PyTorch; the usual one brings CUDA along, several gigabytes.
ARG TORCH_WHEELS=https://download.pytorch.org/whl/cpu/torch/

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 OMP_NUM_THREADS=1
RUN useradd --create-home --uid 1000 app
WORKDIR /app
COPY requirements.txt ./
RUN pip install --find-links "$TORCH_WHEELS" -r requirements.txt
COPY .streamlit/config.toml .streamlit/config.toml
COPY app.py hosted.py ./
COPY deploy/watchdog.py deploy/watchdog.py
COPY pages pages
COPY xent_core xent_core
COPY xent_host xent_host
COPY xent_ui xent_ui
RUN python -m compileall -q app.py hosted.py deploy pages xent_core xent_host xent_ui

# Nothing of the app belongs to it, and it needs to write nowhere but in /tmp.
USER app
EXPOSE 8501
# The port opens only once the first page has run, so nobody meets a cold server.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8501/healthz', timeout=2)"]
# The watchdog starts it again when it ends, is silent, or takes more than the memory that docs/hosting.md counts.
# Its welcome would ask a stranger for the address of this machine.
CMD ["python", "deploy/watchdog.py", "--memory-mb=3000", "--", "python", "-m", "streamlit", "run", "hosted.py", "--server.address=0.0.0.0", "--server.port=8501", "--logger.hideWelcomeMessage=true"]
