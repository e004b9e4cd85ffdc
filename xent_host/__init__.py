"""What a server for strangers has around the app: Streamlit's options, headers, limits on connections, a warm start."""
